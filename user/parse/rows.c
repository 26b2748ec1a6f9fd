// SPDX-License-Identifier: BSD-2-Clause
/*
 * rows.c - the patterns. A new one is a new row; its example is its test.
 *
 * The texts are those of rl-swarm 0.1 to 0.7, genrl, hivemind, modal-login and the
 * launcher script. Within the rows of one first byte the more particular stands first.
 */
#include "parse/pattern.h"

#define TRAINING(name, pattern, constants, example)                                     \
	{                                                                               \
		OBS_EVENT_TRAINING_PROGRESS, name, NULL, 0, pattern, constants, example \
	}
#define PEER(name, pattern, constants, example)                            \
	{                                                                  \
		OBS_EVENT_PEER, name, NULL, 0, pattern, constants, example \
	}
#define AUTH(name, pattern, constants, example)                            \
	{                                                                  \
		OBS_EVENT_AUTH, name, NULL, 0, pattern, constants, example \
	}
#define CHAIN(name, pattern, constants, example)                            \
	{                                                                   \
		OBS_EVENT_CHAIN, name, NULL, 0, pattern, constants, example \
	}
#define LIFE(name, pattern, example)                                            \
	{                                                                       \
		OBS_EVENT_NODE_LIFECYCLE, name, NULL, 0, pattern, NULL, example \
	}
#define ERROR(code, flags, pattern, constants, example)                         \
	{                                                                       \
		OBS_EVENT_ERROR, NULL, code, flags, pattern, constants, example \
	}
#define WEAK(pattern, example)                                                                  \
	{                                                                                       \
		OBS_EVENT_LOG, "log", NULL, OBS_ROW_HOLD | OBS_ROW_WEAK, pattern, NULL, example \
	}

#define QM	  "QmYii94drSM2nDZ8BAbyzG2EHzC41ko5X1Xt1NcWvv3Xb6"
#define G3(level) "[2025-10-26 23:30:27,842][genrl.logging_utils.global_defs][" level "] - "
#define G1	  "INFO:hivemind_exp.trainer.hivemind_grpo_trainer:tiny elusive porpoise:"
#define G2	  "2025-06-09 07:10:43,736 - INFO - hivemind_exp.trainer:tiny elusive porpoise:302 - "

/* clang-format off */
const struct obs_pattern_row obs_pattern_rows[] = {
	/* rounds and training */
	TRAINING("round_joined", "Joining round: {round:u}< starting at stage: {stage:u}>", NULL,
		 G2 "🐝 Joining round: 646 starting at stage: 2"),
	TRAINING("round_started", "Starting round: {round:u}</{max_round:u}>", NULL,
		 G3("INFO") "Starting round: 39512/1000000."),
	TRAINING("round_started", "Starting new round: {round:u}", NULL,
		 "INFO:hivemind_exp.trainer:[F-6f9619ff-8b86-d011-b42d-00cf4fc964ff] Starting new round: 3"),
	TRAINING("round_waiting", "Already finished round: {round:u}<. Next check in {next_check_s:n}s>", NULL,
		 G3("INFO") "Already finished round: 39511. Next check in 10.0s."),
	TRAINING("stage_started", "Training round: {round:u} stage: {stage:u}", NULL,
		 G1 "📈 Training round: 849 stage: 0"),
	TRAINING("stage_finished", "Finished training round: {round:u} stage: {stage:u}", NULL,
		 G1 "📉 Finished training round: 329 stage: 2"),
	TRAINING("training_started", "Starting training {:w} {:w} for {epochs:n} epochs", NULL,
		 G1 "*** Starting training 2025-04-01 14:00:10 for 3.0 epochs***"),
	TRAINING("model_selected", "Using Model: {model:w}$", NULL,
		 G3("INFO") "Using Model: Qwen/Qwen2.5-Coder-0.5B-Instruct"),
	TRAINING("model_saved", "Model saved to {path:s}", NULL,
		 G1 "Model saved to runs/gsm8k/multinode/Qwen2.5-0.5B-Instruct-Gensyn-Swarm"),
	TRAINING("model_saved", "Saving model$", NULL, G1 "Saving model"),
	TRAINING("model_pushed", "pushing model to huggingface$", NULL,
		 G3("INFO") "pushing model to huggingface"),
	TRAINING("model_pushed", "Pushing model to Hugging Face Hub", NULL,
		 G1 "Pushing model to Hugging Face Hub..."),
	TRAINING("dataset_loaded", "Loaded composite dataset with {samples:u} samples", NULL,
		 G3("INFO") "Loaded composite dataset with 1000 samples"),
	TRAINING("dataset_loaded", "Train samples: {train:u}, Eval samples: {eval:u}", NULL,
		 G3("INFO") "Train samples: 2, Eval samples: 0"),
	TRAINING("winners_submitting", "Submitting winners for round {round:u}: [{winners:l}", NULL,
		 G1 "🏆 Submitting winners for round 329: ['" QM "']"),
	TRAINING("winners_submitting", "Submitting winners for round {round:u}:", NULL,
		 G1 "🏆 Submitting winners for round 329: "),
	TRAINING("timed_out", "Training timed out!", NULL, G3("INFO") "Training timed out!"),

	/* who we are and whom we know */
	PEER("bootnodes", "bootnodes: [{peers:l}", NULL,
	     G3("INFO") "bootnodes: ['/ip4/38.101.215.15/tcp/30021/p2p/" QM "']"),
	PEER("bootnodes", "Retrieved initial peers from chain: [{peers:l}", NULL,
	     "INFO:hivemind_exp.runner.gensyn.testnet_grpo_runner:Retrieved initial peers from chain: ['/ip4/38.101.215.14/tcp/31111/p2p/" QM "']"),
	PEER("bootnodes", "Joining swarm with initial_peers = [{peers:l}", "action=join",
	     "INFO:hivemind_exp.runner.gensyn.testnet_grpo_runner:🐝 Joining swarm with initial_peers = ['/ip4/38.101.215.13/tcp/30111/p2p/" QM "']"),
	PEER("bootnodes", "Joining swarm with initial_peer = {peers:m}", "action=join",
	     "Joining swarm with initial_peer = /ip4/38.101.215.13/tcp/30002/p2p/" QM),
	PEER("identity", "Hello ~[{animal:s}] ~[{peer_id:q}]", NULL,
	     G3("INFO") "🐱 Hello 🐈 [dormant toothy bat] 🦮 [" QM "]!"),
	PEER("registering", "Registering self with peer ID: {peer_id:q}", NULL,
	     "INFO:hivemind_exp.runner.gensyn.testnet_grpo_runner:Registering self with peer ID: " QM),
	PEER("registered", "Peer ID [{peer_id:q}] is already registered", NULL,
	     G3("INFO") "Peer ID [" QM "] is already registered! Continuing."),
	PEER("registered", "Failed to call registerPeer: PeerIdAlreadyRegistered", NULL,
	     "Failed to call registerPeer: PeerIdAlreadyRegistered"),
	PEER("identity_created", "Generating new identity to be saved in `{path:s}`", NULL,
	     "Apr 02 23:29:35.165 [INFO] Generating new identity to be saved in `/root/rl-swarm/swarm.pem`"),
	PEER("identity_checking", "Checking that identity from `{path:s}`", NULL,
	     "Apr 02 23:29:35.165 [INFO] Checking that identity from `/root/rl-swarm/swarm.pem` is not used by other peers"),
	PEER("peer_output_missing", "Could not retrieve local outputs for round {round:u} stage {stage:u}", NULL,
	     G1 "Could not retrieve local outputs for round 33 stage 1"),
	PEER("peer_output_missing", "Found rewards published for node: {peer_id:w} but no outputs", NULL,
	     "INFO:hivemind_exp.gsm8k.stage_utils:" QM ":Found rewards published for node: QmQa1SCfYTxx7RvU7qJJRo79Zm1RAwPpkeLueDVJuBBmFp but no outputs!"),

	/* login, then the web server's requests: the particular ones before api_call */
	AUTH("login_waiting", "Waiting for modal userData.json", "step=user_data",
	     ">> Waiting for modal userData.json to be created..."),
	AUTH("login_waiting", "Waiting for API key to be", "step=api_key",
	     "Waiting for API key to be activated..."),
	AUTH("login_ok", "Found userData.json. Proceeding", "step=user_data",
	     "Found userData.json. Proceeding..."),
	AUTH("login_ok", "userData.json found. Proceeding", "step=user_data",
	     "userData.json found. Proceeding..."),
	AUTH("login_ok", "API key is activated! Proceeding", "step=api_key",
	     "API key is activated! Proceeding..."),
	AUTH("login_ok", "POST /api/set-api-key-activated< HTTP/{:n}\"> 200", "step=api_key",
	     "POST /api/set-api-key-activated 200 in 12ms"),
	AUTH("server_ready", "Ready in {ready_ms:t}", NULL, " ✓ Ready in 2.7s"),
	AUTH("org_id", "Your ORG_ID is set to:", NULL,
	     "Your ORG_ID is set to: 00000000-0000-0000-0000-000000000000"),
	AUTH("org_id", "ORG_ID set to:", NULL,
	     "ORG_ID set to: 00000000-0000-0000-0000-000000000000"),

	CHAIN("chain_connected", "Connected to Gensyn Testnet", NULL,
	      G3("INFO") "✅ Connected to Gensyn Testnet"),
	CHAIN("api_call", "http://localhost:3000 \"{method:w} {route:r} HTTP/{:n}\" {status:u}", NULL,
	      "[2025-09-01 13:19:50,199][urllib3.connectionpool][DEBUG] - http://localhost:3000 \"POST /api/submit-reward HTTP/1.1\" 200 None"),
	CHAIN("api_call", "POST {route:r}< HTTP/{:n}\"> {status:u}", "method=POST",
	      "POST /api/get-api-key 200 in 31ms"),
	CHAIN("api_call", "GET {route:r}< HTTP/{:n}\"> {status:u}", "method=GET",
	      "GET /api/get-api-key-status 500"),
	CHAIN("rpc_call", "https://{host:h}<:{:u}> \"{:w} {:w} HTTP/{:n}\" {status:u}", NULL,
	      "[2025-09-01 13:19:50,199][urllib3.connectionpool][DEBUG] - https://gensyn-testnet.g.alchemy.com:443 \"POST /public HTTP/1.1\" 200 None"),
	CHAIN("rpc_call", "http://{host:h}<:{:u}> \"{:w} {:w} HTTP/{:n}\" {status:u}", NULL,
	      "[2025-09-01 13:19:50,199][urllib3.connectionpool][DEBUG] - http://gensyn-testnet.local:8545 \"POST / HTTP/1.1\" 200 None"),

	LIFE("trainer_starting", "Good luck in the swarm!", ">> Good luck in the swarm!"),
	LIFE("launcher_exit", "Shutting down trainer...", ">> Shutting down trainer..."),
	LIFE("trainer_ended", "You can sync this run to the cloud by running",
	     "wandb: You can sync this run to the cloud by running:"),

	/* the trainer fails */
	ERROR("GAME_EXCEPTION", OBS_ROW_HOLD | OBS_ROW_GAME, "Exception occurred during game run.", NULL,
	      G3("ERROR") "Exception occurred during game run."),
	ERROR("TRAINING_EXCEPTION", OBS_ROW_HOLD | OBS_ROW_TRAINING, "Exception during training$", NULL,
	      "ERROR:hivemind_exp.trainer.gensyn.testnet_grpo_trainer:Exception during training"),
	ERROR("TRAINING_EXCEPTION", OBS_ROW_HOLD | OBS_ROW_TRAINING, "Encountered error during training!", NULL,
	      "ERROR:hivemind_exp.trainer.hivemind_grpo_trainer:Encountered error during training!"),
	ERROR("TRAINING_EXCEPTION", OBS_ROW_TRAINING, "Error occurred during training, continuing", NULL,
	      G3("INFO") "Error occurred during training, continuing..."),
	ERROR("TRAINING_EXCEPTION", OBS_ROW_TRAINING, "Error occurred during evaluation, continuing", NULL,
	      G3("INFO") "Error occurred during evaluation, continuing..."),
	ERROR("CUDA_OOM", 0, "CUDA out of memory<. Tried to allocate {requested_bytes:b}>", NULL,
	      "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB. GPU 0 has a total capacity of 7.75 GiB"),
	ERROR("CUDA_OOM", 0, "CUDA error: out of memory", NULL, "RuntimeError: CUDA error: out of memory"),
	ERROR("CUDA_OOM", 0, "Out of memory during ~CUDA out of memory<. Tried to allocate {requested_bytes:b}>", NULL,
	      "RuntimeError: Out of memory during generation. Consider reducing batch size. Original error: CUDA out of memory. Tried to allocate 20.00 MiB."),
	ERROR("MPS_OOM", 0, "MPS backend out of memory<~Tried to allocate {requested_bytes:b}>", NULL,
	      "RuntimeError: MPS backend out of memory (MPS allocated: 5.05 GB, other allocations: 1.20 GB, max allowed: 9.07 GB). Tried to allocate 256.00 MB on private pool."),
	ERROR("MPS_OOM", 0, "Out of memory during ~MPS backend out of memory<~Tried to allocate {requested_bytes:b}>", NULL,
	      "RuntimeError: Out of memory during training step. Consider reducing batch size. Original error: MPS backend out of memory (MPS allocated: 5.05 GB). Tried to allocate 256.00 MB on private pool."),
	ERROR("NAN_PROBABILITIES", 0, "probability tensor contains either", NULL,
	      "RuntimeError: probability tensor contains either 'inf', 'nan' or element < 0"),
	ERROR("PROCESS_KILLED", OBS_ROW_BASH, "{pid:u} Killed", NULL,
	      "./run_rl_swarm.sh: line 649:  9746 Killed                  python -m hivemind_exp.gsm8k.train_single_gpu"),
	ERROR("PROCESS_KILLED", OBS_ROW_NODE_COMM,
	      "Out of memory: Killed process {pid:u} ({comm:s})<~anon-rss:{anon_rss_bytes:k}>", "reason=oom",
	      "[597411.196718] Out of memory: Killed process 23001 (python) total-vm:91247100kB, anon-rss:60356340kB, file-rss:0kB"),
	ERROR("PROCESS_KILLED", OBS_ROW_NODE_COMM,
	      "Memory cgroup out of memory: Killed process {pid:u} ({comm:s})<~anon-rss:{anon_rss_bytes:k}>", "reason=oom",
	      "[597411.196718] Memory cgroup out of memory: Killed process 23001 (python3) total-vm:91247100kB, anon-rss:60356340kB"),
	ERROR("LAUNCHER_ERROR", 0, "An error was detected while running rl-swarm.", NULL,
	      ">> An error was detected while running rl-swarm. See /home/user/rl-swarm/logs for full logs."),

	/* p2pd and the DHT */
	ERROR("DAEMON_START_TIMEOUT", 0, "Daemon failed to start in {timeout_s:n} seconds", NULL,
	      "hivemind.p2p.p2p_daemon_bindings.utils.P2PDaemonError: Daemon failed to start in 15.0 seconds"),
	ERROR("DAEMON_START_FAILED", 0, "Daemon failed to start: <{:g} >{reason:s}", NULL,
	      "hivemind.p2p.p2p_daemon_bindings.utils.P2PDaemonError: Daemon failed to start: 2025/05/05 05:11:19 failed to connect to bootstrap peers"),
	ERROR("DAEMON_START_FAILED", 0, "failed to connect to bootstrap peers$", "reason=failed to connect to bootstrap peers",
	      "2025/05/05 05:11:19 failed to connect to bootstrap peers"),
	ERROR("DAEMON_START_FAILED", OBS_ROW_GO, "failed to listen on any addresses: {reason:s}", NULL,
	      "2026/11/26 20:22:32 failed to listen on any addresses: [listen tcp4 127.0.0.1:38331: bind: address already in use]"),
	ERROR("DAEMON_START_FAILED", OBS_ROW_GO, "failed to parse multiaddr {reason:s}", NULL,
	      "2026/11/26 20:22:32 failed to parse multiaddr \"nonsense\": must begin with /"),
	ERROR("DAEMON_START_FAILED", OBS_ROW_GO, "listen unix {reason:s}", NULL,
	      "2026/11/26 20:22:32 listen unix /tmp/hivemind-p2pd-x.sock: bind: address already in use"),
	ERROR("DAEMON_START_FAILED", OBS_ROW_GO, "open {reason:s}", NULL,
	      "2026/11/26 20:22:32 open /root/swarm.pem: permission denied"),
	ERROR("DAEMON_START_FAILED", OBS_ROW_GO, "proto: cannot parse {reason:s}", NULL,
	      "2026/11/26 20:22:32 proto: cannot parse invalid wire-format data"),
	ERROR("DHT_BOOTSTRAP_FAILED", 0, "DHTNode bootstrap failed: none of the initial_peers responded", NULL,
	      "RuntimeError: DHTNode bootstrap failed: none of the initial_peers responded to a ping. (set ensure_bootstrap_success=False to ignore)"),
	ERROR("DHT_PROCESS_DIED", OBS_ROW_HOLD, "Process DHT-{:u}:", NULL, "Process DHT-1:"),
	ERROR("DHT_PROCESS_DIED", OBS_ROW_HOLD | OBS_ROW_DHT, "[Errno 11] Resource temporarily unavailable", NULL,
	      "Apr 04 07:38:41.041 [ERROR] [hivemind.dht.dht._run:131] [Errno 11] Resource temporarily unavailable"),
	ERROR("DHT_PROCESS_DIED", 0, "EOFError: Ran out of input", NULL, "EOFError: Ran out of input"),
	ERROR("DHT_PROCESS_DIED", 0, "DHT IPC error: {reason:s}. Restarting training", NULL,
	      G1 "DHT IPC error: [Errno 32] Broken pipe. Restarting training"),
	ERROR("DHT_COROUTINE_ERROR", OBS_ROW_HOLD, "Caught an exception when running a coroutine:", NULL,
	      "Oct 26 23:33:49.827 [ERROR] [hivemind.dht.dht._run_coroutine:267] Caught an exception when running a coroutine:"),
	ERROR("IDENTITY_TAKEN", 0, "Identity from ~ is already taken by another peer", NULL,
	      "hivemind.p2p.p2p_daemon_bindings.utils.P2PDaemonError: Identity from `/root/swarm.pem` is already taken by another peer"),
	ERROR("CLOCK_SKEW", 0, "local time must be within", NULL,
	      "Oct 26 23:33:49.827 [WARN] [hivemind.dht.protocol.call_ping:138] ValidationError('local time must be within 3 seconds  of others(local: 1.0, peer: 9.0)')"),
	ERROR("NODE_UNREACHABLE", 0, "Peer {peer_id:q} can't access this node", NULL,
	      "Oct 26 23:33:49.827 [WARN] [hivemind.dht.protocol.call_ping:138] ValidationError(\"Peer " QM " can't access this node. Probably, libp2p has failed to bypass the firewall\")"),
	ERROR("NODE_UNREACHABLE", 0, "Peer ~ can't access this node", NULL,
	      "ValidationError(\"Peer <libp2p.peer.id.ID (x)> can't access this node. Probably, libp2p has failed to bypass the firewall\")"),
	ERROR("PEER_PAYLOAD_ERROR", 0, "Error with swarm payloads, continuing with local state<: {reason:s}>", NULL,
	      G3("INFO") "Error with swarm payloads, continuing with local state: 'NoneType' object is not iterable"),
	ERROR("PEER_PAYLOAD_ERROR", 0, "SKIPPING: Failed to decode value", NULL,
	      G3("WARNING") "SKIPPING: Failed to decode value"),

	/* chain and submissions */
	ERROR("CHAIN_CONNECT_FAILED", 0, "Failed to connect to Gensyn Testnet", NULL,
	      "Exception: Failed to connect to Gensyn Testnet"),
	ERROR("CHAIN_POLL_FAILED", OBS_ROW_HOLD, "Could not fetch round and stage:<~. Next check in {next_check_s:n}s>", NULL,
	      G3("DEBUG") "Could not fetch round and stage: HTTPSConnectionPool(host='x', port=443): Read timed out.. Next check in 5.0s."),
	ERROR("CHAIN_POLL_FAILED", 0, "Could not fetch round and stage. Skipping", NULL,
	      "INFO:hivemind_exp.trainer:[F-6f9619ff-8b86-d011-b42d-00cf4fc964ff] Could not fetch round and stage. Skipping."),
	ERROR("SUBMIT_FAILED", OBS_ROW_HOLD | OBS_ROW_SUBMIT, "Failed to submit to chain.", "source=trainer",
	      G3("ERROR") "Failed to submit to chain."),
	ERROR("SUBMIT_FAILED", 0, "{status:u} Server Error: ~ for url: http://localhost:3000{route:r}", "source=trainer",
	      G3("DEBUG") "500 Server Error: Internal Server Error for url: http://localhost:3000/api/submit-reward"),
	ERROR("SUBMIT_FAILED", 0, "{status:u} Client Error: ~ for url: http://localhost:3000{route:r}", "source=trainer",
	      "requests.exceptions.HTTPError: 400 Client Error: Bad Request for url: http://localhost:3000/api/submit-reward"),
	ERROR("SUBMIT_FAILED", 0, "Bad Gateway for url: http://localhost:3000{route:r}", "source=trainer",
	      "Bad Gateway for url: http://localhost:3000/api/register-peer"),
	ERROR("SUBMIT_FAILED", 0, "Bad Request for url: http://localhost:3000{route:r}", "source=trainer",
	      "Bad Request for url: http://localhost:3000/api/submit-reward"),
	ERROR("SUBMIT_FAILED", 0, "HTTPConnectionPool(host='localhost', port=3000): {reason:s} with url: {route:r}", "source=trainer",
	      G3("DEBUG") "HTTPConnectionPool(host='localhost', port=3000): Max retries exceeded with url: /api/submit-reward (Caused by NewConnectionError('x'))"),
	ERROR("SUBMIT_FAILED", 0, "HTTPConnectionPool(host='localhost', port=3000): {reason:s}", "source=trainer",
	      "requests.exceptions.ReadTimeout: HTTPConnectionPool(host='localhost', port=3000): Read timed out. (read timeout=30)"),
	ERROR("SUBMIT_FAILED", 0, "Unknown error calling {function:w} endpoint! Continuing", "source=trainer",
	      G3("DEBUG") "Unknown error calling submit_reward endpoint! Continuing."),
	ERROR("SUBMIT_FAILED", 0, "Registering peer failed with: f{reason:w}", "function=registerPeer;source=trainer",
	      G3("INFO") "Registering peer failed with: fUserOperationReverted"),
	ERROR("SUBMIT_FAILED", 0, "Failed to call {function:w}: {reason:w}", "source=server",
	      "Failed to call submitReward: InvalidRoundNumber"),
	ERROR("SUBMIT_FAILED", OBS_ROW_HOLD, "Failed to call {function:w} with an unexpected error", "source=server",
	      "Failed to call submitReward with an unexpected error"),
	ERROR("SMART_ACCOUNT_REVERTED", 0, "Smart contract account reverted with error: {aa_code:a}", "source=server",
	      "Smart contract account reverted with error: AA24 signature error"),
	ERROR("LOGIN_PAGE_ERROR", 0, "Cannot read properties of undefined (reading 'hasHydrated')", NULL,
	      " ⨯ TypeError: Cannot read properties of undefined (reading 'hasHydrated')"),

	/* start-up */
	ERROR("EVALUATOR_ERROR", 0, "ollama._types.ResponseError: ~(status code: {status:u}", NULL,
	      "ollama._types.ResponseError:  (status code: 502)"),
	ERROR("EVALUATOR_ERROR", 0, "Error pulling model from ollama:", NULL,
	      G3("ERROR") "Error pulling model from ollama: qwen2.5-coder:1.5b-instruct"),
	ERROR("STARTUP_FAILED", OBS_ROW_HOLD, "Error in call to target '{target:s}'", NULL,
	      "hydra.errors.InstantiationException: Error in call to target 'genrl.communication.hivemind.hivemind_backend.HivemindBackend':"),
	ERROR("MODEL_DOWNLOAD_FAILED", 0, "An error occurred while downloading using", NULL,
	      "RuntimeError: An error occurred while downloading using `hf_transfer`. Consider disabling HF_HUB_ENABLE_HF_TRANSFER for better error handling."),
	ERROR("MODEL_DOWNLOAD_FAILED", 0, "<If the repo you requested exists, >Hugging Face servers may be temporarily unavailable", NULL,
	      G3("WARNING") "If the repo you requested exists, Hugging Face servers may be temporarily unavailable or rate-limited. Please retry"),

	/* first lines of failures that say nothing alone */
	WEAK("Failed with 'FailedOp':", "Failed with 'FailedOp':"),
	WEAK("Error executing job with overrides:", "Error executing job with overrides: []"),
	WEAK("eback (most recent call last):", G3("INFO") " eback (most recent call last):"),
	{ 0 },
};
/* clang-format on */
