// SPDX-License-Identifier: BSD-2-Clause
/* advice.c - see advice.h. Grounded in what operators of RL-Swarm nodes reported. */
#include "pipeline/advice.h"

#include <stddef.h>
#include <string.h>

/* clang-format off */
const struct obs_advice obs_advices[] = {
	{ "GAME_EXCEPTION",
	  "The training game ended with an exception. The trainer exits with 0, so its shell and port stay up and it looks alive.",
	  "Restart the node. If the traceback names a peer's data (NoneType, Unsupported type), it is a bad payload of another peer: update to the newest release." },
	{ "TRAINING_EXCEPTION",
	  "A training step failed. From 0.7 on the node goes on without training: rounds pass, rewards do not.",
	  "Look at the traceback and the GPU memory; 0.7 swallows out-of-memory errors here. Use a smaller model if it repeats." },
	{ "CUDA_OOM",
	  "The GPU has no memory left for the step.",
	  "Use a smaller model or a card with more memory; stop other users of the GPU. PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True helps against fragmentation." },
	{ "MPS_OOM",
	  "Apple's GPU memory is used up.",
	  "Use a smaller model, close other programs, or run on the CPU. PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 lifts the limit at the risk of swapping." },
	{ "NAN_PROBABILITIES",
	  "The model produced no valid probabilities; the game ends.",
	  "Restart; if it comes back, the model or the precision (fp16) does not suit the device: take the default model, or the CPU configuration." },
	{ "PROCESS_KILLED",
	  "The trainer was killed by the system, nearly always because memory ran out.",
	  "Check memory and swap of the host (a leak over 12 to 18 hours is known); add swap, limit other programs, use a smaller model, restart nightly." },
	{ "LAUNCHER_ERROR",
	  "The launcher script saw a command fail and stops the node.",
	  "The cause stands in the lines before it; the script deletes the login on exit, so log in again after the restart." },
	{ "DAEMON_START_TIMEOUT",
	  "p2pd, the peer-to-peer daemon, did not become ready in time; the trainer does not start.",
	  "Slow disk or overloaded CPU at start, or an orphaned p2pd: stop all p2pd processes and start again. Releases from 0.5.4 wait 120 s." },
	{ "DAEMON_START_FAILED",
	  "p2pd ended at once; the reason is its last line.",
	  "\"failed to connect to bootstrap peers\": outgoing TCP to the bootnodes is blocked or they are down; check the firewall and VPN, update to get the present addresses." },
	{ "DHT_BOOTSTRAP_FAILED",
	  "None of the initial peers answered a ping.",
	  "Bootnodes down or unreachable, or a clock that is wrong; check the network and NTP, then restart." },
	{ "DHT_PROCESS_DIED",
	  "The DHT child process is gone or cannot be talked to; the trainer may hang without a word.",
	  "Restart the node. With [Errno 11] raise the process and file limits (ulimit -u, -n); otherwise look for memory pressure." },
	{ "DHT_COROUTINE_ERROR",
	  "A request inside the DHT process failed. It may recover.",
	  "Watch whether rounds go on; restart if no round is joined within an hour." },
	{ "IDENTITY_TAKEN",
	  "Another running node uses the same swarm.pem.",
	  "Stop the other one or give this node its own identity; two nodes on one identity earn once." },
	{ "CLOCK_SKEW",
	  "The clock differs from other peers' by more than 3 seconds; they refuse this node's data.",
	  "Turn time synchronisation on (chrony, systemd-timesyncd; on WSL: wsl --shutdown after sleep)." },
	{ "NODE_UNREACHABLE",
	  "Other peers cannot connect to this node. It works, through relays, more slowly.",
	  "Forward the p2p port or allow UPnP if you want direct connections." },
	{ "PEER_PAYLOAD_ERROR",
	  "Data of another peer could not be used; the round goes on with the node's own.",
	  "Nothing to do if it is rare. If every round has it, update: the format may have changed." },
	{ "CHAIN_CONNECT_FAILED",
	  "The chain's RPC did not answer at start; the trainer does not start.",
	  "Check the RPC address and the network. A public endpoint may answer 401 or 429: use another endpoint or one with a key." },
	{ "CHAIN_POLL_FAILED",
	  "Reading round and stage from the chain failed; the node tries again.",
	  "Nothing to do if it is rare. If it lasts, the RPC is down or limits the rate." },
	{ "SUBMIT_FAILED",
	  "A submission did not reach the chain: the node trains but this round earns nothing.",
	  "InvalidRoundNumber and single 500s pass by themselves. 400 every time: account and peer id do not match (one e-mail, one identity); log in again. 502: the login server is down." },
	{ "SMART_ACCOUNT_REVERTED",
	  "The smart account refused the operation.",
	  "AA24: the stored API key no longer belongs to the account: delete modal-login/temp-data and log in again. AA31: the sponsor's deposit is empty; wait for Gensyn." },
	{ "LOGIN_PAGE_ERROR",
	  "The login page failed in the browser or server (hasHydrated).",
	  "Reload; open http://localhost:3000 itself, not an address of the network; clear the site's data, try another browser." },
	{ "EVALUATOR_ERROR",
	  "The evaluator model (ollama) did not answer; a 0.7 node does not start without it.",
	  "Check that ollama runs on port 11434 and has pulled the model (ollama list); 502 often is a proxy in between." },
	{ "STARTUP_FAILED",
	  "The trainer could not build one of its parts.",
	  "The cause stands behind it (details.cause); most are network: p2pd, chain RPC, or the model's download." },
	{ "MODEL_DOWNLOAD_FAILED",
	  "The model could not be downloaded from Hugging Face.",
	  "Try again later (rate limits); set HF_HUB_ENABLE_HF_TRANSFER=0; check disk space and the token for private models." },
	{ "SERVER_ERROR",
	  "The login web server reported an exception.",
	  "If submissions still pass, ignore it. ECONNREFUSED, ETIMEDOUT: no way to the chain's API; check the network." },
	{ "EXCEPTION",
	  "A Python exception outside the known cases.",
	  "Read the traceback's last lines; search the name in the rl-swarm issues." },
	{ "LOG_ERROR",
	  "The node logged an error that has no code of its own.",
	  "Read the message; tell us if it matters, so that it gets a code." },
	{ 0 },
};
/* clang-format on */

const struct obs_advice *obs_advice_find(const char *code)
{
	for (const struct obs_advice *a = obs_advices; code && a->code; a++) {
		if (strcmp(a->code, code) == 0)
			return a;
	}
	return NULL;
}
