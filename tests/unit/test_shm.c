// SPDX-License-Identifier: BSD-2-Clause
/* test_shm.c - a mapped file that cannot be written to: memory takes its place, until it can. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/shm.h"
#include "util/cleanup.h"

/* Two pages of a file, mapped. That it is shorter makes the kernel refuse as well. */
struct fixture {
	char path[64];
	int fd;
	size_t page;
	char *map;
};

static void open_map(struct fixture *f, const char *suffix)
{
	snprintf(f->path, sizeof(f->path), "/tmp/gso-XXXXXX%s", suffix);
	f->fd = mkstemps(f->path, (int)strlen(suffix));
	assert_true(f->fd >= 0);
	f->page = (size_t)sysconf(_SC_PAGESIZE);
	assert_int_equal(ftruncate(f->fd, (off_t)(2 * f->page)), 0);
	f->map = mmap(NULL, 2 * f->page, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	assert_ptr_not_equal(f->map, MAP_FAILED);
}

static void close_map(struct fixture *f)
{
	munmap(f->map, 2 * f->page);
	close(f->fd);
	unlink(f->path);
}

static void a_page_is_ours_until_it_can_be_written(void **state)
{
	struct fixture f;
	char got[2] = "";

	(void)state;
	open_map(&f, "-shm");
	obs_shm_guard();
	f.map[0] = 'a';
	f.map[f.page] = 'b';
	assert_int_equal(ftruncate(f.fd, 1), 0);
	f.map[f.page + 1] = 'c'; /* would end us */
	assert_int_equal(f.map[f.page], 0);
	f.map[f.page] = 'd';
	f.map[0] = 'e'; /* this one stands in the file */
	assert_int_equal(pread(f.fd, got, 1, 0), 1);
	assert_int_equal(got[0], 'e');

	assert_int_equal(obs_shm_restore(), 0);
	assert_int_equal(pread(f.fd, got, 2, (off_t)f.page), 2);
	assert_memory_equal(got, "dc", 2);
	f.map[f.page] = 'f'; /* shared again */
	assert_int_equal(pread(f.fd, got, 1, (off_t)f.page), 1);
	assert_int_equal(got[0], 'f');
	assert_int_equal(obs_shm_restore(), 0);
	close_map(&f);
}

static void it_is_tried_again(void **state)
{
	struct fixture f;

	(void)state;
	open_map(&f, "-shm");
	obs_shm_guard();
	assert_int_equal(ftruncate(f.fd, 0), 0);
	f.map[0] = 'a';
	assert_int_equal(unlink(f.path), 0);
	assert_int_equal(obs_shm_restore(), -ENOENT);
	assert_int_equal(obs_shm_restore(), -ENOENT);
	obs_shm_forget();
	assert_int_equal(obs_shm_restore(), 0);
	close_map(&f);
}

/* Whatever else makes the kernel send it: it ends the process, as ever. */
static void other_files_are_none_of_ours(void **state)
{
	struct fixture f;
	int status;
	pid_t pid;

	(void)state;
	open_map(&f, "-other");
	assert_int_equal(ftruncate(f.fd, 0), 0);
	pid = fork();
	if (pid == 0) {
		obs_shm_guard();
		f.map[0] = 'a';
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
	close_map(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_is_ours_until_it_can_be_written),
		cmocka_unit_test(it_is_tried_again),
		cmocka_unit_test(other_files_are_none_of_ours),
	};

	return cmocka_run_group_tests_name("shm", tests, NULL, NULL);
}
