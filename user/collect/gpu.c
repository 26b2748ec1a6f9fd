// SPDX-License-Identifier: BSD-2-Clause
/*
 * gpu.c - see gpu.h: the thread, and the order in which the sources are tried.
 */
#include "collect/gpu.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/gpu_source.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define STOP_WAIT_MS 100
#define REOPEN_LOOKS 6 /* what was not there is looked for again, but not each time */

struct found {
	size_t n;
	struct obs_gpu_usage gpus[OBS_GPUS_MAX];
	char source[24];
	char refused[OBS_GPU_WHY]; /* why a better source is not used */
	char trouble[OBS_GPU_WHY];
};

struct obs_gpus {
	struct obs_gpu_options opt;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock */
	bool asked, stop;
	bool left_behind; /* nobody waits for the thread: it cleans up when it comes back */
	uint64_t busy_ns; /* CLOCK_MONOTONIC: since when it looks; 0 = it does not */
	uint64_t looks;	  /* done */
	struct found found;
	/* the thread's */
	struct found next;
	const struct obs_gpu_source_ops *nvidia_ops; /* NULL = none is open */
	void *nvidia, *amd;
	unsigned until_reopen;
	char nvml_why[OBS_GPU_WHY];
	struct obs_gpu_progress progress;
};

/* --- a look, on the thread --- */

static void open_nvidia(struct obs_gpus *g, char *trouble)
{
	static const struct obs_gpu_source_ops *const order[] = { &obs_gpu_nvml,
								  &obs_gpu_nvidia_smi };

	g->nvml_why[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		char why[OBS_GPU_WHY] = "";
		int r = order[i]->begin(&g->opt, &g->progress, &g->nvidia, why);

		if (r == 0) {
			g->nvidia_ops = order[i];
			trouble[0] = '\0';
			return;
		}
		if (i == 0)
			memcpy(g->nvml_why, why, sizeof(why));
		if (r != -ENODEV && !*trouble)
			memcpy(trouble, why, sizeof(why));
	}
}

static void close_nvidia(struct obs_gpus *g)
{
	if (g->nvidia_ops)
		g->nvidia_ops->close(&g->nvidia);
	g->nvidia_ops = NULL;
}

static void look_at_nvidia(struct obs_gpus *g)
{
	struct found *f = &g->next;

	if (!g->nvidia_ops && g->until_reopen > 0) {
		g->until_reopen--;
		memcpy(f->trouble, g->found.trouble, sizeof(f->trouble));
		return;
	}
	if (!g->nvidia_ops)
		open_nvidia(g, f->trouble);
	if (!g->nvidia_ops) {
		g->until_reopen = REOPEN_LOOKS;
		return;
	}
	memcpy(f->refused, g->nvml_why, sizeof(f->refused));
	if (g->nvidia_ops->read(g->nvidia, f->gpus, &f->n, f->trouble) < 0) {
		close_nvidia(g); /* and opened again at the next look */
		return;
	}
	snprintf(f->source, sizeof(f->source), "%s", g->nvidia_ops->name);
}

static void look_at_amd(struct obs_gpus *g)
{
	struct found *f = &g->next;
	char why[OBS_GPU_WHY] = "";
	size_t before = f->n;

	if (!g->amd && obs_gpu_amd.begin(&g->opt, &g->progress, &g->amd, why) < 0)
		return;
	if (obs_gpu_amd.read(g->amd, f->gpus, &f->n, why) < 0)
		obs_gpu_amd.close(&g->amd);
	if (f->n > before)
		snprintf(f->source + strlen(f->source), sizeof(f->source) - strlen(f->source),
			 "%s%s", *f->source ? ", " : "", obs_gpu_amd.name);
}

static void look(struct obs_gpus *g)
{
	g->next = (struct found){};
	look_at_nvidia(g);
	look_at_amd(g);
}

static void destroy(struct obs_gpus *g)
{
	close_nvidia(g);
	if (g->amd)
		obs_gpu_amd.close(&g->amd);
	pthread_mutex_destroy(&g->lock);
	pthread_cond_destroy(&g->changed);
	free(g);
}

static void *run(void *ctx)
{
	struct obs_gpus *g = ctx;
	bool left_behind;

	pthread_mutex_lock(&g->lock);
	while (!g->stop) {
		if (!g->asked) {
			pthread_cond_wait(&g->changed, &g->lock);
			continue;
		}
		g->asked = false;
		g->busy_ns = obs_clock_ns(CLOCK_MONOTONIC);
		pthread_mutex_unlock(&g->lock);
		look(g);
		pthread_mutex_lock(&g->lock);
		g->found = g->next;
		g->busy_ns = 0;
		g->looks++;
		pthread_cond_broadcast(&g->changed);
	}
	left_behind = g->left_behind;
	pthread_mutex_unlock(&g->lock);
	if (left_behind)
		destroy(g);
	return NULL;
}

/* --- what others call --- */

int obs_gpus_start(const struct obs_gpu_options *opt, struct obs_gpus **ret)
{
	struct obs_gpus *g = calloc(1, sizeof(*g));
	pthread_condattr_t attr;
	int r;

	if (!g)
		return -ENOMEM;
	g->opt = *opt;
	g->asked = true;
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->changed, &attr);
	pthread_condattr_destroy(&attr);
	r = pthread_create(&g->thread, NULL, run, g);
	if (r != 0) {
		free(g);
		return -r;
	}
	*ret = g;
	return 0;
}

static struct timespec in_ms(unsigned ms)
{
	uint64_t at = obs_clock_ns(CLOCK_MONOTONIC) + ms * OBS_NS_PER_MS;

	return (struct timespec){ (time_t)(at / OBS_NS_PER_S), (long)(at % OBS_NS_PER_S) };
}

bool obs_gpus_wait(struct obs_gpus *g, unsigned ms)
{
	struct timespec end = in_ms(ms);
	bool done;

	pthread_mutex_lock(&g->lock);
	while ((g->busy_ns || g->asked) && pthread_cond_timedwait(&g->changed, &g->lock, &end) == 0)
		;
	done = !g->busy_ns && !g->asked;
	pthread_mutex_unlock(&g->lock);
	return done;
}

void obs_gpus_stop(struct obs_gpus **gp)
{
	struct obs_gpus *g = *gp;
	bool hangs;

	if (!g)
		return;
	*gp = NULL;
	obs_gpus_wait(g, STOP_WAIT_MS);
	pthread_mutex_lock(&g->lock);
	hangs = g->busy_ns != 0;
	if (hangs)
		pthread_detach(g->thread);
	g->left_behind = hangs;
	g->stop = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
	if (hangs)
		return;
	pthread_join(g->thread, NULL);
	destroy(g);
}

void obs_gpus_ask(struct obs_gpus *g)
{
	pthread_mutex_lock(&g->lock);
	if (!g->busy_ns) {
		g->asked = true;
		pthread_cond_broadcast(&g->changed);
	}
	pthread_mutex_unlock(&g->lock);
}

/* Numbers of a driver that hangs would look like those of one that does not. */
static void tell_hang(struct obs_gpus *g, uint64_t since_ns, struct obs_host_usage *u)
{
	const char *call = atomic_load(&g->progress.call);

	for (size_t i = 0; i < u->n_gpus; i++)
		obs_gpu_forget(&u->gpus[i]);
	snprintf(u->gpu_trouble, sizeof(u->gpu_trouble),
		 "the GPU driver has not answered for %.0f s (%s)",
		 (double)(obs_clock_ns(CLOCK_MONOTONIC) - since_ns) / 1e9, call ? call : "?");
}

void obs_gpus_get(struct obs_gpus *g, struct obs_host_usage *u)
{
	uint64_t now_ns = obs_clock_ns(CLOCK_MONOTONIC);

	pthread_mutex_lock(&g->lock);
	u->n_gpus = g->found.n;
	memcpy(u->gpus, g->found.gpus, g->found.n * sizeof(u->gpus[0]));
	memcpy(u->gpu_source, g->found.source, sizeof(u->gpu_source));
	memcpy(u->gpu_refused, g->found.refused, sizeof(u->gpu_refused));
	memcpy(u->gpu_trouble, g->found.trouble, sizeof(u->gpu_trouble));
	if (g->busy_ns && now_ns - g->busy_ns > g->opt.timeout_ms * OBS_NS_PER_MS)
		tell_hang(g, g->busy_ns, u);
	pthread_mutex_unlock(&g->lock);
}
