// SPDX-License-Identifier: BSD-2-Clause
/* model.c - see model.h. Most of the model is filled in by those who own its parts. */
#include "model/model.h"

struct obs_probe_status *obs_model_add_probe(struct obs_model *model, const char *need)
{
	struct obs_probe_status *p = &model->one_too_many;

	if (model->n_probes < OBS_PROBES_MAX)
		p = &model->probes[model->n_probes++];
	*p = (struct obs_probe_status){ .need = need, .rung = "none" };
	return p;
}
