/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * zone.h - time zones by name, read from the system's database (TZif files).
 *
 * Own reader, since libc's zone is a global of the whole process.
 */
#pragma once

#include <stdint.h>

struct obs_zone;

/**
 * obs_zone_open() - @name is "UTC", an offset ("+02:00", "-0530"), or a name of the zone
 * database ("Europe/Berlin"), looked up below /usr/share/zoneinfo.
 *
 * Return: 0, -EINVAL (no such shape of name, or a broken file), -ENOENT, -ENOMEM, or the
 * negative errno of reading the file.
 */
int obs_zone_open(const char *name, struct obs_zone **ret);

/** obs_zone_read() - the zone of an open TZif file (/etc/localtime). Errors as above. */
int obs_zone_read(int fd, struct obs_zone **ret);

void obs_zone_free(struct obs_zone **z);

/**
 * obs_zone_offset_ns() - local time - UTC at a local time.
 * @local_ns: civil time as if it were UTC
 * @after_ns: the moment of the line before, 0 = unknown: decides in the hour that a change
 *            back to winter time repeats
 *
 * In the hour that a change to summer time leaves out, the offset before it holds.
 */
int64_t obs_zone_offset_ns(const struct obs_zone *z, uint64_t local_ns, uint64_t after_ns);

#define cleanup_zone __attribute__((cleanup(obs_zone_free)))
