// SPDX-License-Identifier: BSD-2-Clause
/* Varints, base58, multiaddrs; the first byte says how much room there is for the text. */
#include "fuzz.h"

#include "parse/peerid.h"
#include "parse/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = size ? data[0] + 1U : 1, len = size ? size - 1 : 0;
	cleanup_free char *p = fuzz_copy(data + (size > 0), len), *out = malloc(room);
	struct obs_slice in = obs_slice(p, len);
	uint64_t v;
	int n = obs_varint_parse(in, &v);

	fuzz_check(out && n <= OBS_VARINT_MAX);
	n = obs_base58_format(in, out, room);
	fuzz_check(n < 0 ? !*out : strlen(out) == (size_t)n);
	n = obs_multiaddr_format(in, out, room);
	fuzz_check(n < 0 ? !*out : strlen(out) == (size_t)n);
	obs_peer_id_is_valid(in);
	return 0;
}
