// SPDX-License-Identifier: BSD-2-Clause
pragma solidity ^0.8.24;

// Stands in for Gensyn's SwarmCoordinator in tests: the same views, events and errors, by their
// names and types, and the rules that a node meets. Written for these tests, from what is known
// of the contract's interface; anybody may advance rounds. scripts/compile-contract.sh makes
// coordinator.json from it.

abstract contract Base {
    uint256 public currentRound;
    string[] internal bootnodes;
    mapping(string => address) internal eoa;
    mapping(address => string[]) internal peerIds;
    mapping(string => int256) internal rewards;
    mapping(string => uint256) internal votes;
    mapping(string => uint256) internal wins;
    mapping(uint256 => mapping(string => bool)) internal voted;

    error InvalidRoundNumber();
    error WinnerAlreadyVoted();
    error PeerIdAlreadyRegistered();
    error InvalidVoterPeerId();
    error RewardAlreadySubmitted();

    event PeerRegistered(address indexed account, string peerId);
    event WinnerSubmitted(address indexed account, string peerId, uint256 indexed roundNumber, string[] winners);
    event CumulativeRewardsUpdated(address indexed account, string peerId, int256 newRewards);
    event RoundAdvanced(uint256 indexed newRoundNumber);
    event BootnodesAdded(address indexed manager, uint256 count);
    event Noted(string text, uint256 indexed number); // in no contract of the swarm

    function note(string calldata text, uint256 number) external {
        emit Noted(text, number);
    }

    function registerPeer(string calldata peerId) external {
        if (eoa[peerId] != address(0)) revert PeerIdAlreadyRegistered();
        eoa[peerId] = msg.sender;
        peerIds[msg.sender].push(peerId);
        emit PeerRegistered(msg.sender, peerId);
    }

    function getEoa(string[] calldata ids) external view returns (address[] memory out) {
        out = new address[](ids.length);
        for (uint256 i = 0; i < ids.length; i++) out[i] = eoa[ids[i]];
    }

    function getPeerId(address[] calldata accounts) external view returns (string[][] memory out) {
        out = new string[][](accounts.length);
        for (uint256 i = 0; i < accounts.length; i++) out[i] = peerIds[accounts[i]];
    }

    function addBootnodes(string[] calldata nodes) external {
        for (uint256 i = 0; i < nodes.length; i++) bootnodes.push(nodes[i]);
        emit BootnodesAdded(msg.sender, nodes.length);
    }

    function getBootnodes() external view returns (string[] memory) {
        return bootnodes;
    }

    function getTotalRewards(string[] calldata ids) external view returns (int256[] memory out) {
        out = new int256[](ids.length);
        for (uint256 i = 0; i < ids.length; i++) out[i] = rewards[ids[i]];
    }

    function getTotalWins(string calldata peerId) external view returns (uint256) {
        return wins[peerId];
    }

    function submitWinners(uint256 round, string[] calldata winners, string calldata peerId) external {
        if (round > currentRound) revert InvalidRoundNumber();
        if (eoa[peerId] != msg.sender) revert InvalidVoterPeerId();
        if (voted[round][peerId]) revert WinnerAlreadyVoted();
        voted[round][peerId] = true;
        votes[peerId]++;
        for (uint256 i = 0; i < winners.length; i++) wins[winners[i]]++;
        emit WinnerSubmitted(msg.sender, peerId, round, winners);
    }

    function addReward(int256 reward, string calldata peerId) internal {
        rewards[peerId] += reward;
        emit CumulativeRewardsUpdated(msg.sender, peerId, rewards[peerId]);
    }
}

// 0.4.2 to 0.5.1: rounds have stages.
contract Staged is Base {
    uint256 public currentStage;
    mapping(uint256 => mapping(uint256 => mapping(string => bool))) internal rewarded;

    event StageAdvanced(uint256 indexed roundNumber, uint256 newStage);
    event RewardSubmitted(address indexed account, uint256 indexed roundNumber, uint256 indexed stageNumber, int256 reward, string peerId);

    function stageCount() external pure returns (uint256) {
        return 3;
    }

    function getVoterVoteCount(string calldata peerId) external view returns (uint256) {
        return votes[peerId];
    }

    function updateStageAndRound() external {
        if (currentStage == 2) {
            currentStage = 0;
            currentRound++;
            emit RoundAdvanced(currentRound);
        } else {
            currentStage++;
            emit StageAdvanced(currentRound, currentStage);
        }
    }

    function submitReward(uint256 round, uint256 stage, int256 reward, string calldata peerId) external {
        if (round > currentRound) revert InvalidRoundNumber();
        if (eoa[peerId] != msg.sender) revert InvalidVoterPeerId();
        if (rewarded[round][stage][peerId]) revert RewardAlreadySubmitted();
        rewarded[round][stage][peerId] = true;
        emit RewardSubmitted(msg.sender, round, stage, reward, peerId);
        addReward(reward, peerId);
    }
}

// 0.6.0 on: rounds only.
contract Rounds is Base {
    mapping(uint256 => mapping(string => bool)) internal rewarded;

    event RewardSubmitted(address indexed account, uint256 indexed roundNumber, int256 reward, string peerId);

    function advanceRound() external {
        currentRound++;
        emit RoundAdvanced(currentRound);
    }

    function submitReward(uint256 round, int256 reward, string calldata peerId) external {
        if (round > currentRound) revert InvalidRoundNumber();
        if (eoa[peerId] != msg.sender) revert InvalidVoterPeerId();
        if (rewarded[round][peerId]) revert RewardAlreadySubmitted();
        rewarded[round][peerId] = true;
        emit RewardSubmitted(msg.sender, round, reward, peerId);
        addReward(reward, peerId);
    }
}
