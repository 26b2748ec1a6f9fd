// SPDX-License-Identifier: BSD-2-Clause
/* ring.c - see ring.h. */
#include "observe/ring.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <bpf/libbpf.h>

#define DRAIN_INTERVAL_MS 2
#define QUIET_DRAINS	  5 /* empty drains before the reader goes to sleep */

struct obs_ring {
	struct ring_buffer *rb; /* owned */
	struct obs_control *control;
	uv_timer_t timer;
	uv_poll_t poll;
	int handles; /* uv handles not yet closed */
	unsigned quiet;
	bool awake;
	obs_ring_fn on_record;
	obs_ring_drained_fn on_drained;
	void *ctx;
};

/* The ring callback: 0 goes on, whatever the record is. */
static int on_sample(void *ctx, void *data, size_t len)
{
	struct obs_ring *r = ctx;

	r->on_record(r->ctx, data, len);
	return 0;
}

size_t obs_ring_drain(struct obs_ring *r)
{
	int n;

	__atomic_add_fetch(&r->control->drain, 1, __ATOMIC_RELAXED);
	n = ring_buffer__consume(r->rb);
	if (n > 0)
		r->on_drained(r->ctx, (size_t)n);
	return n > 0 ? (size_t)n : 0;
}

static void set_sleeps(struct obs_ring *r, uint32_t v)
{
	__atomic_store_n(&r->control->reader_sleeps, v, __ATOMIC_SEQ_CST);
}

static void on_timer(uv_timer_t *timer);

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct obs_ring *r = poll->data;

	(void)status;
	(void)events;
	uv_poll_stop(&r->poll);
	r->quiet = 0;
	r->awake = true;
	set_sleeps(r, 0);
	obs_ring_drain(r);
	uv_timer_start(&r->timer, on_timer, DRAIN_INTERVAL_MS, DRAIN_INTERVAL_MS);
}

static void on_timer(uv_timer_t *timer)
{
	struct obs_ring *r = timer->data;

	if (obs_ring_drain(r) > 0) {
		r->quiet = 0;
		set_sleeps(r, 0);
		return;
	}

	r->quiet++;
	if (r->quiet == QUIET_DRAINS)
		set_sleeps(r, 1);
	if (r->quiet <= QUIET_DRAINS)
		return;
	r->awake = false;
	uv_timer_stop(timer);
	uv_poll_start(&r->poll, UV_READABLE, on_readable);
}

int obs_ring_new(uv_loop_t *loop, int map_fd, struct obs_control *control, obs_ring_fn on_record,
		 obs_ring_drained_fn on_drained, void *ctx, struct obs_ring **ret)
{
	struct obs_ring *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	*r = (struct obs_ring){
		.control = control, .on_record = on_record, .on_drained = on_drained, .ctx = ctx
	};
	r->rb = ring_buffer__new(map_fd, on_sample, r, NULL);
	if (!r->rb) {
		err = -errno;
		free(r);
		return err;
	}
	uv_timer_init(loop, &r->timer);
	err = uv_poll_init(loop, &r->poll, ring_buffer__epoll_fd(r->rb));
	r->timer.data = r;
	r->poll.data = r;
	r->handles = 2;
	if (err < 0) {
		uv_close((uv_handle_t *)&r->timer, NULL);
		ring_buffer__free(r->rb);
		return err;
	}
	uv_timer_start(&r->timer, on_timer, 0, DRAIN_INTERVAL_MS);
	r->awake = true;
	*ret = r;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct obs_ring *r = handle->data;

	if (--r->handles > 0)
		return;
	ring_buffer__free(r->rb);
	free(r);
}

void obs_ring_free(struct obs_ring **rp)
{
	struct obs_ring *r = *rp;

	if (!r)
		return;
	*rp = NULL;
	uv_close((uv_handle_t *)&r->timer, on_closed);
	uv_close((uv_handle_t *)&r->poll, on_closed);
}
