// SPDX-License-Identifier: BSD-2-Clause
/*
 * nvml_standin.c - a stand-in for NVIDIA's libnvidia-ml.so.1, for machines without their GPUs.
 *
 * It is no driver: it has the functions that the observer calls and answers as told, by
 * nvml_standin_set() or by $NVML_STANDIN: words with commas between, such as
 * "gpus=2,mig=1,lost=1,hang,init=18,xid=79,pid=4711".
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOST	      15
#define NOT_FOUND     6
#define NOT_SUPPORTED 3
#define TIMED_OUT     10
#define MISSING	      (~0u)

static _Atomic int gpus, mig, lost, hang, init_result, xid, pid, count_result;

static int value_of(const char *text, const char *word, int otherwise)
{
	const char *p = text;

	while ((p = strstr(p, word))) {
		const char *end = p + strlen(word);

		if ((p == text || p[-1] == ',') && (*end == '=' || *end == ',' || *end == '\0'))
			return *end == '=' ? atoi(end + 1) : 1;
		p = end;
	}
	return otherwise;
}

void nvml_standin_set(const char *text);

void nvml_standin_set(const char *text)
{
	gpus = value_of(text, "gpus", 1);
	mig = value_of(text, "mig", -1);
	lost = value_of(text, "lost", -1);
	init_result = value_of(text, "init", 0);
	count_result = value_of(text, "count", 0);
	xid = value_of(text, "xid", 0);
	pid = value_of(text, "pid", 4711);
	hang = value_of(text, "hang", 0);
}

__attribute__((constructor)) static void from_environment(void)
{
	const char *text = getenv("NVML_STANDIN");

	nvml_standin_set(text ? text : "");
}

/* Handles: a card's number plus 1; of an instance with 100 for each and 1,000 on top. */
typedef unsigned long handle;

static unsigned card(handle device)
{
	return (unsigned)(device % 100 - 1);
}

static int check(handle device)
{
	return (int)card(device) == lost ? LOST : 0;
}

#define EXPORT(...)                                             \
	__attribute__((visibility("default"))) int __VA_ARGS__; \
	int __VA_ARGS__

EXPORT(nvmlInit_v2(void))
{
	return init_result;
}

EXPORT(nvmlShutdown(void))
{
	return 0;
}

const char *nvmlErrorString(int result);

const char *nvmlErrorString(int result)
{
	return result == 999 ? "Unknown Error" : "some error";
}

EXPORT(nvmlDeviceGetCount_v2(unsigned *ret))
{
	*ret = (unsigned)gpus;
	return count_result;
}

EXPORT(nvmlDeviceGetHandleByIndex_v2(unsigned index, handle *ret))
{
	*ret = index + 1;
	return 0;
}

EXPORT(nvmlDeviceGetName(handle device, char *ret, unsigned size))
{
	snprintf(ret, size, device > 1000 ? "Stand-in MIG 1g.10gb" : "Stand-in GPU");
	return check(device);
}

EXPORT(nvmlDeviceGetUUID(handle device, char *ret, unsigned size))
{
	snprintf(ret, size, "%s-%lu", device > 1000 ? "MIG" : "GPU", device);
	return check(device);
}

EXPORT(nvmlDeviceGetUtilizationRates(handle device, unsigned ret[2]))
{
	while (hang)
		usleep(1000);
	ret[0] = 50 + card(device);
	ret[1] = 20;
	return check(device);
}

EXPORT(nvmlDeviceGetMemoryInfo(handle device, unsigned long long ret[3]))
{
	ret[0] = device > 1000 ? 10ull << 30 : 80ull << 30;
	ret[2] = device > 1000 ? 2ull << 30 : 60ull << 30;
	ret[1] = ret[0] - ret[2];
	return check(device);
}

EXPORT(nvmlDeviceGetTemperature(handle device, int sensor, unsigned *ret))
{
	(void)sensor;
	*ret = 60 + card(device);
	return check(device);
}

EXPORT(nvmlDeviceGetPowerUsage(handle device, unsigned *ret))
{
	*ret = 250500;
	return check(device);
}

EXPORT(nvmlDeviceGetEnforcedPowerLimit(handle device, unsigned *ret))
{
	*ret = 300000;
	return check(device);
}

/* No fan: as on a server card. */
EXPORT(nvmlDeviceGetFanSpeed(handle device, unsigned *ret))
{
	(void)device;
	*ret = 0;
	return NOT_SUPPORTED;
}

EXPORT(nvmlDeviceGetClockInfo(handle device, int which, unsigned *ret))
{
	*ret = which == 1 ? 1410 : 1593;
	return check(device);
}

EXPORT(nvmlDeviceGetMaxClockInfo(handle device, int which, unsigned *ret))
{
	*ret = which == 1 ? 1980 : 1593;
	return check(device);
}

EXPORT(nvmlDeviceGetCurrentClocksThrottleReasons(handle device, unsigned long long *ret))
{
	*ret = 0x44; /* power cap, hardware thermal */
	return check(device);
}

EXPORT(nvmlDeviceGetTotalEccErrors(handle device, int kind, int counter, unsigned long long *ret))
{
	(void)counter;
	*ret = kind == 0 ? 7 : 2;
	return check(device);
}

struct process {
	unsigned pid;
	unsigned long long used;
	unsigned gpu_instance, compute_instance;
};

EXPORT(nvmlDeviceGetComputeRunningProcesses_v3(handle device, unsigned *n, struct process *ret))
{
	unsigned in_mig = (int)card(device) == mig ? 3 : MISSING;

	if (*n < 2)
		return 7;
	*n = 2;
	ret[0] = (struct process){ (unsigned)pid, 12ull << 30, in_mig, in_mig };
	ret[1] = (struct process){ 4712, ~0ull, MISSING, MISSING };
	return check(device);
}

EXPORT(nvmlDeviceGetMigMode(handle device, unsigned *current, unsigned *pending))
{
	*current = *pending = (int)card(device) == mig;
	return check(device);
}

EXPORT(nvmlDeviceGetMaxMigDeviceCount(handle device, unsigned *ret))
{
	*ret = 7;
	return check(device);
}

/* Two of the seven places are taken. */
EXPORT(nvmlDeviceGetMigDeviceHandleByIndex(handle device, unsigned index, handle *ret))
{
	if (index != 0 && index != 3)
		return NOT_FOUND;
	*ret = 1000 + 100 * index + device;
	return 0;
}

EXPORT(nvmlDeviceGetGpuInstanceId(handle device, unsigned *ret))
{
	*ret = (unsigned)(device - 1000) / 100;
	return 0;
}

EXPORT(nvmlEventSetCreate(void **ret))
{
	*ret = &gpus;
	return 0;
}

EXPORT(nvmlEventSetFree(void *set))
{
	(void)set;
	return 0;
}

EXPORT(nvmlDeviceRegisterEvents(handle device, unsigned long long types, void *set))
{
	(void)set;
	return types == 8 ? check(device) : NOT_SUPPORTED;
}

struct event {
	handle device;
	unsigned long long type, data;
	unsigned gpu_instance, compute_instance;
};

/* Each Xid comes once, of the first card. */
EXPORT(nvmlEventSetWait_v2(void *set, struct event *ret, unsigned timeout_ms))
{
	int number = atomic_exchange(&xid, 0);

	(void)set;
	(void)timeout_ms;
	if (!number)
		return TIMED_OUT;
	*ret = (struct event){ 1, 8, (unsigned long long)number, MISSING, MISSING };
	return 0;
}
