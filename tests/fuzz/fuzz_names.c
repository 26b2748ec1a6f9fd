// SPDX-License-Identifier: BSD-2-Clause
/* What comes from the network: DNS answers, TLS ClientHellos; and multiaddrs as text. */
#include "fuzz.h"

#include "parse/dns.h"
#include "parse/maddr.h"
#include "parse/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *p = fuzz_copy(data, size);
	struct obs_dns_answer answer;
	char name[OBS_TLS_NAME_MAX];
	struct obs_maddr m;

	if (obs_dns_parse(obs_slice(p, size), &answer) == 0)
		fuzz_check(answer.n > 0 && answer.n <= OBS_DNS_ADDRESSES_MAX &&
			   strnlen(answer.name, sizeof(answer.name)) < sizeof(answer.name));
	if (obs_tls_server_name(obs_slice(p, size), name) == 0)
		fuzz_check(*name && strnlen(name, sizeof(name)) < sizeof(name));
	if (obs_maddr_parse(obs_slice(p, size), &m) == 0)
		fuzz_check(m.port > 0 && m.peer_id.len < 64);
	return 0;
}
