// SPDX-License-Identifier: BSD-2-Clause
/* time.c - see time.h. Fixed columns are checked and read in place. */
#include "parse/time.h"

#include <stdlib.h>

#include "parse/scan.h"

#define NS_PER_S   1000000000ull
#define NS_PER_DAY (86400 * NS_PER_S)
#define NS_PER_H   (3600 * NS_PER_S)
#define QUARTER_NS (900 * NS_PER_S) /* zones differ by multiples of this */
#define YEAR_MAX   2261		    /* ns since 1970 in a signed 64 */
#define ISO_BYTES  19		    /* "2025-10-26 23:30:27" */
#define DATE_BYTES 10

/* A kernel time and a text time of one write may differ by this much more than the zone. */
#define LEARN_SLACK_NS (60 * NS_PER_S)

static bool digits2(const char *p, unsigned *ret)
{
	if (!is_digit(p[0]) || !is_digit(p[1]))
		return false;
	*ret = (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
	return true;
}

static int64_t days_from_civil(unsigned y, unsigned m, unsigned d)
{
	unsigned yy = y - (m <= 2), era = yy / 400, yoe = yy - era * 400;
	unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

	return (int64_t)era * 146097 + doe - 719468;
}

static bool is_leap(unsigned y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static bool date_ok(unsigned y, unsigned m, unsigned d)
{
	static const unsigned char days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return m >= 1 && m <= 12 && d >= 1 && d <= days[m - 1] && (m != 2 || d < 29 || is_leap(y));
}

/* "2025-10-26" or with another separator; the last date seen is kept. */
static bool scan_date(const char *p, char sep, uint64_t *ret_ns)
{
	static _Thread_local char last[DATE_BYTES];
	static _Thread_local uint64_t last_ns;
	unsigned century, year, m, d;

	if (memcmp(p, last, DATE_BYTES) == 0 && p[4] == sep) {
		*ret_ns = last_ns;
		return true;
	}
	if (!digits2(p, &century) || !digits2(p + 2, &year) || p[4] != sep || !digits2(p + 5, &m) ||
	    p[7] != sep || !digits2(p + 8, &d))
		return false;
	year += century * 100;
	if (year < 1970 || year > YEAR_MAX || !date_ok(year, m, d))
		return false;
	memcpy(last, p, DATE_BYTES);
	last_ns = (uint64_t)days_from_civil(year, m, d) * NS_PER_DAY;
	*ret_ns = last_ns;
	return true;
}

/* "23:30:27"; second 60 is a leap second. */
static bool scan_tod(const char *p, uint64_t *ret_ns)
{
	unsigned h, m, s;

	if (!digits2(p, &h) || p[2] != ':' || !digits2(p + 3, &m) || p[5] != ':' ||
	    !digits2(p + 6, &s) || h > 23 || m > 59 || s > 60)
		return false;
	*ret_ns = (h * 3600ull + m * 60 + s) * NS_PER_S;
	return true;
}

/* ",842" or ".842113": up to nine digits count, more are passed over. */
static size_t scan_fraction(struct obs_slice s, uint64_t *ns)
{
	uint64_t unit = NS_PER_S / 10;
	size_t i = 1;

	if (s.len < 2 || (*s.p != ',' && *s.p != '.') || !is_digit(s.p[1]))
		return 0;
	for (; i < s.len && i <= 18 && is_digit(s.p[i]); i++) {
		*ns += (uint64_t)(s.p[i] - '0') * unit;
		unit /= 10;
	}
	return i;
}

static size_t scan_offset(struct obs_slice s, int64_t *ret_s)
{
	unsigned h, m;
	size_t n;

	if (s.len && *s.p == 'Z') {
		*ret_s = 0;
		return 1;
	}
	if (s.len < 5 || (*s.p != '+' && *s.p != '-') || !digits2(s.p + 1, &h))
		return 0;
	n = s.p[3] == ':' ? 6 : 5;
	if (s.len < n || !digits2(s.p + n - 2, &m) || h > 18 || m > 59)
		return 0;
	*ret_s = (int64_t)(h * 3600 + m * 60) * (*s.p == '-' ? -1 : 1);
	return n;
}

size_t obs_time_scan_iso(struct obs_slice s, struct obs_text_time *ret)
{
	uint64_t day, tod, ns;
	int64_t offset_s;
	size_t n, zone;

	if (s.len < ISO_BYTES || (s.p[10] != ' ' && s.p[10] != 'T') || !scan_date(s.p, '-', &day) ||
	    !scan_tod(s.p + 11, &tod))
		return 0;
	ns = day + tod;
	n = ISO_BYTES + scan_fraction(slice_from(s, ISO_BYTES), &ns);
	zone = scan_offset(slice_from(s, n), &offset_s);
	if (!zone) {
		*ret = (struct obs_text_time){ .kind = OBS_TIME_LOCAL, .ns = ns };
		return n;
	}
	if ((int64_t)ns < offset_s * (int64_t)NS_PER_S)
		return 0;
	*ret = (struct obs_text_time){
		.kind = OBS_TIME_ABSOLUTE,
		.ns = ns - (uint64_t)(offset_s * (int64_t)NS_PER_S),
	};
	return n + zone;
}

size_t obs_time_scan_go(struct obs_slice s, struct obs_text_time *ret)
{
	uint64_t day, tod;

	if (s.len < ISO_BYTES || s.p[10] != ' ' || !scan_date(s.p, '/', &day) ||
	    !scan_tod(s.p + 11, &tod))
		return 0;
	*ret = (struct obs_text_time){ .kind = OBS_TIME_LOCAL, .ns = day + tod };
	return ISO_BYTES;
}

static unsigned scan_month_name(const char *p)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (unsigned m = 0; m < 12; m++) {
		if (memcmp(p, names + (size_t)m * 3, 3) == 0)
			return m + 1;
	}
	return 0;
}

/* hivemind writes "Oct 26 23:33:49.827", the day with two digits; syslog pads with a space. */
size_t obs_time_scan_month(struct obs_slice s, struct obs_text_time *ret)
{
	unsigned month, day;
	uint64_t ns;
	size_t n = 15;

	if (s.len < n || s.p[3] != ' ' || s.p[6] != ' ')
		return 0;
	month = scan_month_name(s.p);
	if (s.p[4] == ' ' && is_digit(s.p[5]))
		day = (unsigned)(s.p[5] - '0');
	else if (!digits2(s.p + 4, &day))
		return 0;
	if (!month || !date_ok(2000, month, day) || !scan_tod(s.p + 7, &ns))
		return 0;
	n += scan_fraction(slice_from(s, n), &ns);
	*ret = (struct obs_text_time){ OBS_TIME_NO_YEAR, (uint8_t)month, (uint8_t)day, ns };
	return n;
}

static uint64_t distance_ns(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static unsigned year_of(uint64_t ns)
{
	uint64_t day = ns / NS_PER_DAY;
	unsigned y = 1970 + (unsigned)(day / 366);

	while (y < YEAR_MAX && (uint64_t)days_from_civil(y + 1, 1, 1) <= day)
		y++;
	return y;
}

/* The year that brings the date nearest to the last time known, and not past now; without
 * a last time the latest that is not past now. */
static uint64_t add_year(const struct obs_clock *c, const struct obs_text_time *t)
{
	uint64_t near = c->last_ns ? c->last_ns : c->reference_ns, best = 0;
	uint64_t limit = c->reference_ns && c->reference_ns < UINT64_MAX - NS_PER_DAY
				 ? c->reference_ns + NS_PER_DAY
				 : UINT64_MAX;
	unsigned y0 = near ? year_of(near) : 1970;

	for (unsigned y = y0 > 1974 ? y0 - 4 : 1970; y <= y0 + 1 && y <= YEAR_MAX; y++) {
		uint64_t ns;

		if (!date_ok(y, t->month, t->day))
			continue;
		ns = (uint64_t)days_from_civil(y, t->month, t->day) * NS_PER_DAY + t->ns;
		if (!best || (ns <= limit && distance_ns(ns, near) < distance_ns(best, near)))
			best = ns;
	}
	return best;
}

/* A kernel-timed line tells local time - UTC, to a quarter of an hour; a clock that is
 * simply wrong tells nothing. */
static void learn_zone(struct obs_clock *c, uint64_t local_ns, uint64_t wall_ns)
{
	const uint64_t far_ns = 20 * NS_PER_H;
	int64_t diff, half, offset;

	if (distance_ns(local_ns, wall_ns) > far_ns)
		return;
	diff = (int64_t)(local_ns - wall_ns);
	half = diff < 0 ? -(int64_t)QUARTER_NS / 2 : (int64_t)QUARTER_NS / 2;
	offset = (diff + half) / (int64_t)QUARTER_NS * (int64_t)QUARTER_NS;
	if (llabs(offset) > 14 * (int64_t)NS_PER_H ||
	    llabs(diff - offset) > (int64_t)LEARN_SLACK_NS)
		return;
	c->offset_ns = offset;
	c->offset_known = true;
}

static uint64_t to_utc(const struct obs_clock *c, uint64_t local_ns)
{
	int64_t offset = 0;

	if (c->offset_known)
		offset = c->offset_ns;
	else if (c->zone)
		offset = obs_zone_offset_ns(c->zone, local_ns, c->last_ns);
	return offset > 0 && local_ns < (uint64_t)offset ? local_ns : local_ns - (uint64_t)offset;
}

static uint64_t local_of(const struct obs_clock *c, const struct obs_text_time *t)
{
	return t->kind == OBS_TIME_NO_YEAR ? add_year(c, t) : t->ns;
}

uint64_t obs_clock_resolve(struct obs_clock *c, const struct obs_text_time *t, uint64_t wall_ns)
{
	bool zoneless = t->kind == OBS_TIME_LOCAL || t->kind == OBS_TIME_NO_YEAR;

	if (wall_ns) {
		c->last_ns = wall_ns;
		if (zoneless)
			learn_zone(c, local_of(c, t), wall_ns);
	} else if (t->kind == OBS_TIME_ABSOLUTE) {
		c->last_ns = t->ns;
	} else if (zoneless) {
		c->last_ns = to_utc(c, local_of(c, t));
	}
	return c->last_ns ? c->last_ns : c->reference_ns;
}
