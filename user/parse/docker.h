/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * docker.h - lines as Docker's json-file driver keeps them.
 */
#pragma once

#include <stdbool.h>

#include "parse/time.h"
#include "util/buf.h"
#include "util/slice.h"

/**
 * obs_docker_json() - {"log":"text\n","stream":"stderr","time":"…Z"}: the text, unescaped.
 * @scratch:  where the text stands afterwards
 * @ret_text: without its line end
 * @ret_time: untouched when there is none
 *
 * Return: was it such a line?
 */
bool obs_docker_json(struct obs_slice line, struct obs_buf *scratch, struct obs_slice *ret_text,
		     struct obs_text_time *ret_time);

/**
 * obs_docker_unwrap() - the same, as it stands there: with its line end, if it has one.
 * @ret_rest: what follows the text: ,"stream":"stderr","time":"…Z"}
 */
bool obs_docker_unwrap(struct obs_slice line, struct obs_buf *scratch, struct obs_slice *ret_text,
		       struct obs_slice *ret_rest);
