// SPDX-License-Identifier: BSD-2-Clause
/* p2pd_records.c - see p2pd_records.h. They are looked through only when the next one is due. */
#include "collect/p2pd_records.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include <uthash.h>

#define FAR_S 1e11 /* an end behind this is none */

struct entry {
	struct id {
		uint8_t key[OBS_DHT_KEY_LEN];
		uint32_t way;
		uint64_t subkey;
	} id;
	double ends_s;
	UT_hash_handle hh;
};

struct obs_p2pd_records {
	struct entry *entries; /* owned hash */
	double next_s;	       /* nothing expires before */
	struct obs_record_numbers numbers[2];
};

int obs_p2pd_records_new(struct obs_p2pd_records **ret)
{
	struct obs_p2pd_records *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->next_s = INFINITY;
	*ret = r;
	return 0;
}

static void drop(struct obs_p2pd_records *r, struct entry *e)
{
	r->numbers[e->id.way].live--;
	HASH_DEL(r->entries, e);
	free(e);
}

void obs_p2pd_records_free(struct obs_p2pd_records **rp)
{
	struct obs_p2pd_records *r = *rp;
	struct entry *e, *next;

	if (!r)
		return;
	HASH_ITER(hh, r->entries, e, next)
	{
		drop(r, e);
	}
	free(r);
	*rp = NULL;
}

static struct entry *make(struct obs_p2pd_records *r, const struct id *id)
{
	struct entry *e =
		HASH_COUNT(r->entries) < OBS_P2PD_RECORDS_MAX ? calloc(1, sizeof(*e)) : NULL;

	if (!e) {
		r->numbers[id->way].not_kept++;
		return NULL;
	}
	e->id = *id;
	HASH_ADD(hh, r->entries, id, sizeof(e->id), e);
	r->numbers[id->way].live++;
	return e;
}

void obs_p2pd_records_put(struct obs_p2pd_records *r, const struct obs_p2pd_record *record)
{
	struct id id = { .way = record->way, .subkey = record->subkey };
	struct entry *e;

	if (!(record->ends_s > 0) || record->ends_s > FAR_S) {
		r->numbers[record->way].end_unseen++;
		return;
	}
	memcpy(id.key, record->key, sizeof(id.key));
	HASH_FIND(hh, r->entries, &id, sizeof(id), e);
	if (!e)
		e = make(r, &id);
	if (!e)
		return;
	if (record->ends_s > e->ends_s)
		e->ends_s = record->ends_s;
	if (e->ends_s < r->next_s)
		r->next_s = e->ends_s;
}

void obs_p2pd_records_expire(struct obs_p2pd_records *r, double now_s)
{
	struct entry *e, *next;

	if (now_s < r->next_s)
		return;
	r->next_s = INFINITY;
	HASH_ITER(hh, r->entries, e, next)
	{
		if (e->ends_s <= now_s) {
			r->numbers[e->id.way].expired++;
			drop(r, e);
		} else if (e->ends_s < r->next_s) {
			r->next_s = e->ends_s;
		}
	}
}

const struct obs_record_numbers *obs_p2pd_records_numbers(const struct obs_p2pd_records *r,
							  enum obs_p2p_way way)
{
	return &r->numbers[way];
}
