// SPDX-License-Identifier: BSD-2-Clause
/* missed.c - see missed.h. Holds descriptors of its own for the programs. */
#include "observe/missed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "model/model.h"
#include "util/cleanup.h"

struct obs_missed {
	size_t n;
	struct {
		int fd;
		uint64_t seen;
		char name[32];
	} programs[OBS_PROGRAMS_MAX];
};

struct obs_missed *obs_missed_new(void)
{
	return calloc(1, sizeof(struct obs_missed));
}

void obs_missed_free(struct obs_missed **mp)
{
	struct obs_missed *m = *mp;

	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		close(m->programs[i].fd);
	free(m);
	*mp = NULL;
}

void obs_missed_watch(struct obs_missed *m, const struct bpf_object *obj)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, obj)
	{
		int fd = bpf_program__fd(prog);

		if (fd < 0 || m->n == OBS_PROGRAMS_MAX)
			continue;
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			continue;
		m->programs[m->n].fd = fd;
		strncpy(m->programs[m->n].name, bpf_program__name(prog),
			sizeof(m->programs->name) - 1);
		m->n++;
	}
}

uint64_t obs_missed_read(struct obs_missed *m, struct obs_model *model)
{
	uint64_t sum = 0;

	model->n_programs = m->n;
	for (size_t i = 0; i < m->n; i++) {
		struct bpf_prog_info info = {};
		__u32 len = sizeof(info);

		if (bpf_obj_get_info_by_fd(m->programs[i].fd, &info, &len) == 0)
			m->programs[i].seen = info.recursion_misses;
		model->programs[i] =
			(struct obs_program_view){ m->programs[i].name, m->programs[i].seen };
		sum += m->programs[i].seen;
	}
	return sum;
}
