/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p2pd_records.h - the records of the DHT that a node has stored, and those stored with it: how
 * many are still good, how many have expired. Bounded.
 */
#pragma once

#include <stdint.h>

#include "model/p2p.h"
#include "parse/dht.h"
#include "util/slice.h"

#define OBS_P2PD_RECORDS_MAX 4096

struct obs_p2pd_records;

int obs_p2pd_records_new(struct obs_p2pd_records **ret);
void obs_p2pd_records_free(struct obs_p2pd_records **r);

/* One that was taken. Stored again, it only lasts longer. */
struct obs_p2pd_record {
	const uint8_t *key; /* OBS_DHT_KEY_LEN bytes */
	uint64_t subkey;    /* a hash; 0 = none */
	enum obs_p2p_way way;
	double ends_s; /* CLOCK_REALTIME as the DHT has it; 0 = was not seen */
};

void obs_p2pd_records_put(struct obs_p2pd_records *r, const struct obs_p2pd_record *record);

/** obs_p2pd_records_expire() - it is @now_s, of the clock that the ends are of. */
void obs_p2pd_records_expire(struct obs_p2pd_records *r, double now_s);

/** obs_p2pd_records_numbers() - Borrowed. */
const struct obs_record_numbers *obs_p2pd_records_numbers(const struct obs_p2pd_records *r,
							  enum obs_p2p_way way);
