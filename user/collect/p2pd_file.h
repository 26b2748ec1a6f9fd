/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p2pd_file.h - the decoder's input in a file, for reports of bugs: who wrote how much when, ids and
 * names, the structure of messages; the data of RPCs as zeros.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "collect/p2pd.h"

/** obs_p2pd_file_open() - make @path anew, mode 0600. Return: 0, or a negative errno. */
int obs_p2pd_file_open(const char *path, FILE **ret);

/** obs_p2pd_file_push() - append one write, its data blanked. Return: 0, or a negative errno. */
int obs_p2pd_file_push(FILE *f, const struct obs_p2pd_write *w);

/** obs_p2pd_file_check() - is this such a file, of a version we know? Return: 0 or -EPROTO. */
int obs_p2pd_file_check(FILE *f);

#define OBS_P2PD_FILE_DATA 640 /* bytes of one write, at most */

/**
 * obs_p2pd_file_next() - the next write.
 * @data: OBS_P2PD_FILE_DATA bytes that ret->in then points into
 *
 * Return: 1, 0 at the end, -EBADMSG when the file is cut or damaged.
 */
int obs_p2pd_file_next(FILE *f, char *data, struct obs_p2pd_write *ret);

/**
 * obs_p2pd_blank() - set to zero what is data in the captured head of a write.
 * @p, @have, @len: the head, changed in place
 *
 * Kept are lengths, call ids, peer ids, addresses, names, errors, DHT keys and subkeys, and how many
 * entries a dictionary has. What is not understood is all set to zero.
 */
void obs_p2pd_blank(char *p, size_t have, uint64_t len, enum obs_p2pd_writer by);
