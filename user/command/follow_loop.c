// SPDX-License-Identifier: BSD-2-Clause
/* follow_loop.c - see follow_loop.h. */
#include "command/follow_loop.h"

#include <signal.h>
#include <stdio.h>

#include "command/command.h"
#include "pipeline/custom.h"

int obs_command_config(const char *file, struct obs_config **ret, const char **ret_path)
{
	cleanup_buf struct obs_buf messages = {};
	const char *path = obs_config_find(file);
	int r = path ? obs_config_load(path, &messages, ret) : obs_config_default(ret);

	if (r == 0)
		r = obs_custom_check(*ret, &messages);

	if (messages.len > 0)
		fputs(obs_buf_cstr(&messages), stderr);
	*ret_path = path ? path : "";
	return r < 0 ? OBS_EXIT_USAGE : 0;
}

struct signals {
	uv_signal_t sigint, sigterm;
	int caught;
};

static void on_signal(uv_signal_t *handle, int signum)
{
	struct signals *s = handle->data;

	s->caught = signum;
	uv_stop(handle->loop);
}

static void watch_signal(uv_loop_t *loop, uv_signal_t *handle, int signum, struct signals *s)
{
	uv_signal_init(loop, handle);
	handle->data = s;
	uv_signal_start(handle, on_signal, signum);
	uv_unref((uv_handle_t *)handle);
}

int obs_loop_until_signal(uv_loop_t *loop)
{
	struct signals s = {};

	watch_signal(loop, &s.sigint, SIGINT, &s);
	watch_signal(loop, &s.sigterm, SIGTERM, &s);
	uv_run(loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&s.sigint, NULL);
	uv_close((uv_handle_t *)&s.sigterm, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
	return s.caught;
}

void obs_loop_stop(uv_loop_t *loop)
{
	uv_stop(loop);
}

void obs_loop_close(uv_loop_t *loop)
{
	for (int i = 0; i < 100 && uv_loop_close(loop) == UV_EBUSY; i++)
		uv_run(loop, UV_RUN_NOWAIT);
}
