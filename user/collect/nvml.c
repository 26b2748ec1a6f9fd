// SPDX-License-Identifier: BSD-2-Clause
/*
 * nvml.c - NVIDIA's management library, loaded when it is there.
 *
 * The few declarations needed are our own, by the library's stable interface: it is no dependency
 * and brings no header. Functions that an older driver lacks leave their number unknown.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/gpu_source.h"
#include "util/cleanup.h"

#define XIDS_PER_LOOK	64
#define PROCS_ASKED	256
#define NOT_AVAILABLE	UINT64_MAX /* NVML_VALUE_NOT_AVAILABLE */
#define EVENT_XID	0x8	   /* nvmlEventTypeXidCriticalError */
#define MIG_ENABLED	1
#define SENSOR_GPU	0
#define CLOCK_SM	1
#define CLOCK_MEM	2
#define ECC_CORRECTED	0
#define ECC_UNCORRECTED 1
#define ECC_VOLATILE	0 /* since the driver was loaded */

/* nvmlReturn_t */
enum {
	NVML_OK = 0,
	NVML_FUNCTION_MISSING = 13,
	NVML_GPU_IS_LOST = 15,
	NVML_DRIVER_NOT_LOADED = 9,
	NVML_VERSION_MISMATCH = 18,
};

typedef struct nvml_device *device_t;
typedef struct nvml_event_set *event_set_t;

struct utilization {
	unsigned gpu, memory; /* percent */
};

struct memory {
	unsigned long long total, free, used;
};

struct process {
	unsigned pid;
	unsigned long long used;
	unsigned gpu_instance, compute_instance;
};

struct event {
	device_t device;
	unsigned long long type, data;
	unsigned gpu_instance, compute_instance;
};

typedef int number_fn(device_t device, unsigned *ret);
typedef int text_fn(device_t device, char *ret, unsigned size);

struct api {
	int (*init)(void);
	int (*shutdown)(void);
	const char *(*error)(int result);
	int (*count)(unsigned *ret);
	int (*handle)(unsigned index, device_t *ret);
	text_fn *name, *uuid;
	int (*utilization)(device_t device, struct utilization *ret);
	int (*memory)(device_t device, struct memory *ret);
	int (*temperature)(device_t device, int sensor, unsigned *ret);
	number_fn *power, *power_limit, *fan;
	int (*clock)(device_t device, int which, unsigned *ret);
	int (*max_clock)(device_t device, int which, unsigned *ret);
	int (*throttle)(device_t device, unsigned long long *ret);
	int (*ecc)(device_t device, int kind, int counter, unsigned long long *ret);
	int (*processes)(device_t device, unsigned *n, struct process *ret);
	int (*mig_mode)(device_t device, unsigned *current, unsigned *pending);
	number_fn *mig_max;
	int (*mig_handle)(device_t device, unsigned index, device_t *ret);
	number_fn *gpu_instance;
	int (*event_set)(event_set_t *ret);
	int (*event_set_free)(event_set_t set);
	int (*event_register)(device_t device, unsigned long long types, event_set_t set);
	int (*event_wait)(event_set_t set, struct event *ret, unsigned timeout_ms);
};

static const struct symbol {
	const char *name;
	size_t offset;
	bool needed;
} symbols[] = {
#define SYMBOL(member, name, needed)                              \
	{                                                         \
		"nvml" name, offsetof(struct api, member), needed \
	}
	/* clang-format off */
	SYMBOL(init, "Init_v2", true),
	SYMBOL(shutdown, "Shutdown", true),
	SYMBOL(error, "ErrorString", true),
	SYMBOL(count, "DeviceGetCount_v2", true),
	SYMBOL(handle, "DeviceGetHandleByIndex_v2", true),
	SYMBOL(name, "DeviceGetName", false),
	SYMBOL(uuid, "DeviceGetUUID", false),
	SYMBOL(utilization, "DeviceGetUtilizationRates", false),
	SYMBOL(memory, "DeviceGetMemoryInfo", false),
	SYMBOL(temperature, "DeviceGetTemperature", false),
	SYMBOL(power, "DeviceGetPowerUsage", false),
	SYMBOL(power_limit, "DeviceGetEnforcedPowerLimit", false),
	SYMBOL(fan, "DeviceGetFanSpeed", false),
	SYMBOL(clock, "DeviceGetClockInfo", false),
	SYMBOL(max_clock, "DeviceGetMaxClockInfo", false),
	SYMBOL(throttle, "DeviceGetCurrentClocksThrottleReasons", false),
	SYMBOL(ecc, "DeviceGetTotalEccErrors", false),
	/* _v2 has the same arguments; v1's entries are shorter, and no driver of today needs it */
	SYMBOL(processes, "DeviceGetComputeRunningProcesses_v2", false),
	SYMBOL(processes, "DeviceGetComputeRunningProcesses_v3", false),
	SYMBOL(mig_mode, "DeviceGetMigMode", false),
	SYMBOL(mig_max, "DeviceGetMaxMigDeviceCount", false),
	SYMBOL(mig_handle, "DeviceGetMigDeviceHandleByIndex", false),
	SYMBOL(gpu_instance, "DeviceGetGpuInstanceId", false),
	SYMBOL(event_set, "EventSetCreate", false),
	SYMBOL(event_set_free, "EventSetFree", false),
	SYMBOL(event_register, "DeviceRegisterEvents", false),
	SYMBOL(event_wait, "EventSetWait_v2", false),
/* clang-format on */
#undef SYMBOL
};

struct card {
	device_t device;
	char name[OBS_GPU_NAME_BYTES], uuid[OBS_GPU_NAME_BYTES];
	uint64_t xid_errors, last_xid;
	bool registered; /* for its Xid events */
};

struct nvml {
	void *library;
	struct api api;
	bool initialized;
	event_set_t events; /* NULL = they are not told */
	struct obs_gpu_progress *progress;
	size_t n_cards; /* seen so far: one that is lost stays */
	struct card cards[OBS_GPUS_MAX];
};

/* Call a function of the library, if it has it, and leave word of it for who waits. */
#define CALL(s, member, ...)                                   \
	(atomic_store(&(s)->progress->call, "NVML: " #member), \
	 (s)->api.member ? (s)->api.member(__VA_ARGS__) : NVML_FUNCTION_MISSING)

/* --- open --- */

static int load(struct nvml *s, const char *library)
{
	s->library = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!s->library)
		return -ENODEV;
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
		void *f = dlsym(s->library, symbols[i].name);

		if (!f && symbols[i].needed)
			return -ENOSYS;
		if (f)
			memcpy((char *)&s->api + symbols[i].offset, &f, sizeof(f));
	}
	return 0;
}

static void say_init(const struct nvml *s, int r, char *why)
{
	if (r == NVML_VERSION_MISMATCH)
		snprintf(why, OBS_GPU_WHY,
			 "the NVIDIA driver in the kernel and its libraries are of different "
			 "versions: reboot, or reload the module");
	else
		snprintf(why, OBS_GPU_WHY, "NVML cannot be used: %.100s", s->api.error(r));
}

static int init(struct nvml *s, char *why)
{
	int r = CALL(s, init);

	if (r == NVML_DRIVER_NOT_LOADED)
		return -ENODEV;
	if (r != NVML_OK) {
		say_init(s, r, why);
		return -EIO;
	}
	s->initialized = true;
	if (CALL(s, event_set, &s->events) != NVML_OK)
		s->events = NULL;
	return 0;
}

static void close_nvml(void **source)
{
	struct nvml *s = *source;

	if (!s)
		return;
	if (s->events)
		CALL(s, event_set_free, s->events);
	if (s->initialized)
		CALL(s, shutdown);
	if (s->library)
		dlclose(s->library);
	free(s);
	*source = NULL;
}

static int open_nvml(const struct obs_gpu_options *opt, struct obs_gpu_progress *progress,
		     void **ret, char *why)
{
	struct nvml *s = calloc(1, sizeof(*s));
	void *source = s;
	int r;

	if (!s)
		return -ENOMEM;
	s->progress = progress;
	r = load(s, opt->nvml);
	if (r == -ENODEV && access(opt->nvidia_dir, F_OK) == 0) {
		snprintf(why, OBS_GPU_WHY, "the NVIDIA driver is loaded, but its %.60s is not here",
			 opt->nvml);
		r = -ELIBACC;
	} else if (r == -ENOSYS) {
		snprintf(why, OBS_GPU_WHY, "%.80s is too old, or not NVIDIA's", opt->nvml);
	}
	if (r == 0)
		r = init(s, why);
	if (r < 0)
		close_nvml(&source);
	else
		*ret = s;
	return r;
}

/* --- one card --- */

static double number(struct nvml *s, number_fn *f, const char *what, device_t d, double scale)
{
	unsigned v;

	atomic_store(&s->progress->call, what);
	return f && f(d, &v) == NVML_OK ? v * scale : NAN;
}

static double clock_of(struct nvml *s, bool max, int which, device_t d)
{
	unsigned v;
	int r = max ? CALL(s, max_clock, d, which, &v) : CALL(s, clock, d, which, &v);

	return r == NVML_OK ? v : NAN;
}

static uint64_t ecc_of(struct nvml *s, device_t d, int kind)
{
	unsigned long long v;

	return CALL(s, ecc, d, kind, ECC_VOLATILE, &v) == NVML_OK ? v : OBS_UNKNOWN;
}

static void read_memory(struct nvml *s, device_t d, struct obs_gpu_usage *g)
{
	struct memory m;

	if (CALL(s, memory, d, &m) != NVML_OK)
		return;
	g->memory_used_bytes = m.used;
	g->memory_total_bytes = m.total;
}

static void read_processes(struct nvml *s, device_t d, struct obs_gpu_usage *g)
{
	struct process procs[PROCS_ASKED];
	unsigned n = ARRAY_LEN(procs);

	if (CALL(s, processes, d, &n, procs) != NVML_OK)
		return;
	for (unsigned i = 0; i < n && i < ARRAY_LEN(procs); i++)
		obs_gpu_add_process(g, procs[i].pid,
				    procs[i].used == NOT_AVAILABLE ? OBS_UNKNOWN : procs[i].used,
				    procs[i].gpu_instance);
}

/* Return: false when the card is lost. */
static bool read_numbers(struct nvml *s, device_t d, struct obs_gpu_usage *g)
{
	struct utilization use;
	unsigned celsius;
	unsigned long long reasons;
	int r = CALL(s, temperature, d, SENSOR_GPU, &celsius);

	if (r == NVML_GPU_IS_LOST)
		return false;
	g->temp_c = r == NVML_OK ? celsius : NAN;
	r = CALL(s, utilization, d, &use);
	if (r == NVML_GPU_IS_LOST)
		return false;
	if (r == NVML_OK) {
		g->util_percent = use.gpu;
		g->memory_util_percent = use.memory;
	}
	read_memory(s, d, g);
	g->power_w = number(s, s->api.power, "NVML: power", d, 1e-3);
	g->power_limit_w = number(s, s->api.power_limit, "NVML: power_limit", d, 1e-3);
	g->fan_percent = number(s, s->api.fan, "NVML: fan", d, 1);
	g->sm_mhz = clock_of(s, false, CLOCK_SM, d);
	g->memory_mhz = clock_of(s, false, CLOCK_MEM, d);
	g->max_sm_mhz = clock_of(s, true, CLOCK_SM, d);
	if (CALL(s, throttle, d, &reasons) == NVML_OK)
		g->throttle_reasons = reasons;
	g->ecc_corrected = ecc_of(s, d, ECC_CORRECTED);
	g->ecc_uncorrected = ecc_of(s, d, ECC_UNCORRECTED);
	read_processes(s, d, g);
	return true;
}

static void identify(struct nvml *s, struct card *c)
{
	if (CALL(s, name, c->device, c->name, sizeof(c->name)) != NVML_OK)
		c->name[0] = '\0';
	if (CALL(s, uuid, c->device, c->uuid, sizeof(c->uuid)) != NVML_OK)
		c->uuid[0] = '\0';
	c->name[sizeof(c->name) - 1] = c->uuid[sizeof(c->uuid) - 1] = '\0';
	if (s->events && !c->registered)
		c->registered = CALL(s, event_register, c->device, EVENT_XID, s->events) == NVML_OK;
}

static void read_card(struct nvml *s, unsigned index, struct obs_gpu_usage *g)
{
	struct card *c = &s->cards[index];
	int r = CALL(s, handle, index, &c->device);

	*g = obs_gpu_new(index);
	if (r == NVML_OK && !*c->uuid)
		identify(s, c);
	memcpy(g->name, c->name, sizeof(g->name));
	memcpy(g->uuid, c->uuid, sizeof(g->uuid));
	if (r != NVML_OK || !read_numbers(s, c->device, g)) {
		obs_gpu_forget(g);
		g->lost = true;
	}
	if (c->registered) {
		g->xid_errors = c->xid_errors;
		g->last_xid = c->last_xid;
	}
}

/* --- MIG: a card in parts --- */

static void read_instance(struct nvml *s, device_t d, const struct obs_gpu_usage *card,
			  struct obs_gpu_usage *g)
{
	unsigned instance;

	*g = obs_gpu_new(card->index);
	g->mig_parent = (int32_t)card->index;
	if (CALL(s, gpu_instance, d, &instance) == NVML_OK)
		g->instance = instance;
	if (CALL(s, name, d, g->name, sizeof(g->name)) != NVML_OK)
		g->name[0] = '\0';
	if (CALL(s, uuid, d, g->uuid, sizeof(g->uuid)) != NVML_OK)
		g->uuid[0] = '\0';
	read_memory(s, d, g);
	for (size_t i = 0; i < card->n_procs; i++) {
		const struct obs_gpu_process *p = &card->procs[i];

		if (p->instance == g->instance && g->instance != UINT32_MAX)
			obs_gpu_add_process(g, p->pid, p->memory_bytes, p->instance);
	}
}

static void read_instances(struct nvml *s, device_t d, struct obs_gpu_usage *gpus, size_t at,
			   size_t *n)
{
	unsigned current = 0, pending = 0, max = 0;
	device_t part;

	if (CALL(s, mig_mode, d, &current, &pending) != NVML_OK || current != MIG_ENABLED ||
	    CALL(s, mig_max, d, &max) != NVML_OK)
		return;
	for (unsigned i = 0; i < max && *n < OBS_GPUS_MAX; i++) {
		if (CALL(s, mig_handle, d, i, &part) == NVML_OK)
			read_instance(s, part, &gpus[at], &gpus[(*n)++]);
	}
}

/* --- all of them --- */

/* What has come since the last look: an Xid is the driver's number of what went wrong. */
static void read_events(struct nvml *s)
{
	struct event e;

	for (int i = 0; s->events && i < XIDS_PER_LOOK; i++) {
		if (CALL(s, event_wait, s->events, &e, 0) != NVML_OK)
			return;
		for (size_t k = 0; k < s->n_cards; k++) {
			if (s->cards[k].device != e.device || !(e.type & EVENT_XID))
				continue;
			s->cards[k].xid_errors++;
			s->cards[k].last_xid = e.data;
		}
	}
}

static int read_nvml(void *source, struct obs_gpu_usage *gpus, size_t *n, char *why)
{
	struct nvml *s = source;
	unsigned count = 0;
	int r = CALL(s, count, &count);

	if (r != NVML_OK) {
		snprintf(why, OBS_GPU_WHY, "NVML does not answer any more: %.100s",
			 s->api.error(r));
		return -EIO;
	}
	if (count > OBS_GPUS_MAX)
		count = OBS_GPUS_MAX;
	if (count > s->n_cards)
		s->n_cards = count;
	read_events(s);
	for (unsigned i = 0; i < s->n_cards && *n < OBS_GPUS_MAX; i++) {
		size_t at = (*n)++;

		read_card(s, i, &gpus[at]);
		if (!gpus[at].lost)
			read_instances(s, s->cards[i].device, gpus, at, n);
	}
	return 0;
}

const struct obs_gpu_source_ops obs_gpu_nvml = {
	.name = "nvml",
	.begin = open_nvml,
	.read = read_nvml,
	.close = close_nvml,
};
