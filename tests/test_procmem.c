// SPDX-License-Identifier: Apache-2.0
#include "base/procmem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t MIB = 1 << 20;

// 0 is a process that waits for its end on a pipe; `ready` is written to when it stands.
struct child {
    pid_t pid;
    int hold;
};

static struct child start_child(const char *name, size_t touched_bytes)
{
    int hold[2], ready[2];
    assert_int_equal(pipe(hold), 0);
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(hold[1]);
        prctl(PR_SET_NAME, name);
        char *memory =
            mmap(NULL, touched_bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(memory, 1, touched_bytes);
        char byte = 0;
        if (write(ready[1], &byte, 1) != 1 || read(hold[0], &byte, 1) < 0) {
            _exit(1);
        }
        _exit(0);
    }
    close(hold[0]);
    close(ready[1]);
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return (struct child){.pid = pid, .hold = hold[1]};
}

static void end_child(struct child child)
{
    close(child.hold);
    int status;
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    assert_int_equal(status, 0);
}

static void it_reads_this_process(void **state)
{
    (void)state;
    struct procmem mem;
    assert_int_equal(procmem_read(getpid(), &mem), 0);
    assert_true(mem.rss_bytes > 0);
    assert_true(mem.pss_bytes > 0 && mem.pss_bytes <= mem.rss_bytes);
    assert_true(mem.private_bytes > 0 && mem.private_bytes <= mem.rss_bytes);
    assert_true(mem.swap_bytes >= 0);
    assert_true(mem.page_table_bytes > 0);
    assert_true(mem.cpu_ns > 0);
    assert_true(mem.minor_faults > 0);
    assert_true(mem.major_faults >= 0);
}

static void the_highest_memory_stays_when_it_is_given_back(void **state)
{
    (void)state;
    enum { BYTES = 64 << 20 };
    struct procmem after;
    char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    memset(memory, 1, BYTES);
    int64_t highest = procmem_highest(getpid());
    munmap(memory, BYTES);
    assert_int_equal(procmem_read(getpid(), &after), 0);
    // The kernel adds some pages up only now and then.
    assert_true(highest >= BYTES - MIB);
    assert_true(procmem_highest(getpid()) >= highest - MIB);
    assert_true(after.rss_bytes <= highest - BYTES / 2);
    assert_int_equal(procmem_highest(0x7fffffff), -1);
}

// A heap of MAP_SHARED memory is in no private memory.
static void shared_memory_has_a_figure_of_its_own(void **state)
{
    (void)state;
    enum { BYTES = 8 << 20 };
    struct procmem before, after;
    assert_int_equal(procmem_read(getpid(), &before), 0);
    char *shared = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    memset(shared, 1, BYTES);
    assert_int_equal(procmem_read(getpid(), &after), 0);
    assert_true(after.shared_bytes - before.shared_bytes >= BYTES);
#ifndef __SANITIZE_THREAD__ // its shadow of the touched pages is private memory
    assert_true(after.private_bytes - before.private_bytes < BYTES / 2);
#endif
    munmap(shared, BYTES);
}

#define ROLLUP "Rss: 3000 kB\nPss: 2500 kB\nPrivate_Clean: 4 kB\nPrivate_Dirty: 1996 kB\nAnonymous: 2400 kB\n"

// What is swapped out is in no resident figure, and the process owns it all the same.
static void private_memory_has_what_is_swapped_out(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t private_kib, swap_kib, merged_kib;
    } cases[] = {{ROLLUP, 2000, 0, -1},
                 {ROLLUP "Swap: 0 kB\nSwapPss: 0 kB\n", 2000, 0, -1},
                 {ROLLUP "KSM: 0 kB\nSwap: 900 kB\nSwapPss: 700 kB\n", 2700, 700, 0},
                 {ROLLUP "KSM: 80 kB\nSwap: 900 kB\n", 2900, 900, 80}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct procmem mem = {0};
        assert_int_equal(procmem_parse_rollup(cases[i].text, &mem), 0);
        assert_int_equal(mem.rss_bytes, 3000 * 1024);
        assert_int_equal(mem.pss_bytes, 2500 * 1024);
        assert_int_equal(mem.private_bytes, cases[i].private_kib * 1024);
        assert_int_equal(mem.swap_bytes, cases[i].swap_kib * 1024);
        assert_int_equal(mem.merged_bytes, cases[i].merged_kib < 0 ? -1 : cases[i].merged_kib * 1024);
    }
    struct procmem mem = {0};
    assert_int_equal(procmem_parse_rollup("Rss: 3000 kB\nSwapPss: 9 kB\n", &mem), -ENODATA);
}

// Of 2400 KiB of anonymous memory, 400 are shared with others since a fork.
static void memory_that_forks_share_and_what_was_given_back_are_known_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t private_kib, share_kib, forked_kib, lazy_kib;
    } cases[] = {{ROLLUP, 2000, -1, 400, 0},
                 {ROLLUP "Pss_Anon: 2200 kB\nKSM: 0 kB\nLazyFree: 0 kB\n", 2000, 2200, 400, 0},
                 {ROLLUP "Pss_Anon: 2200 kB\nLazyFree: 300 kB\nSwapPss: 50 kB\n", 1750, 1950, 400, 300},
                 {ROLLUP "Pss_Anon: 2200 kB\nKSM: 8 kB\nLazyFree: 9000 kB\n", 0, -1, -1, 9000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct procmem mem = {0};
        assert_int_equal(procmem_parse_rollup(cases[i].text, &mem), 0);
        assert_int_equal(mem.private_bytes, cases[i].private_kib * 1024);
        assert_int_equal(mem.share_bytes, cases[i].share_kib < 0 ? -1 : cases[i].share_kib * 1024);
        assert_int_equal(mem.forked_bytes, cases[i].forked_kib < 0 ? -1 : cases[i].forked_kib * 1024);
        assert_int_equal(mem.lazy_free_bytes, cases[i].lazy_kib * 1024);
    }
}

static void touched_memory_of_another_process_shows_in_all_of_its_figures(void **state)
{
    (void)state;
    struct child small = start_child("small", 0), large = start_child("large", 32 * (size_t)MIB);
    struct procmem a, b;
    assert_int_equal(procmem_read(small.pid, &a), 0);
    assert_int_equal(procmem_read(large.pid, &b), 0);
    // Both were forked from this process and share the rest of their pages alike. A sanitizer's shadow comes
    // on top.
    assert_true(b.rss_bytes - a.rss_bytes > 31 * MIB);
    assert_true(b.pss_bytes - a.pss_bytes > 31 * MIB);
    assert_true(b.private_bytes - a.private_bytes > 31 * MIB);
    end_child(large);
    end_child(small);
}

// A program's own pages are private as long as nobody else runs it, so they would come and go with others.
static void pages_of_a_file_are_not_private_though_nobody_else_has_mapped_them(void **state)
{
    (void)state;
    char path[] = "/tmp/poolmark-procmem-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(posix_fallocate(fd, 0, 16 * MIB), 0);
    struct procmem before, after;
    assert_int_equal(procmem_read(getpid(), &before), 0);
    const char *file = mmap(NULL, 16 * (size_t)MIB, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    assert_ptr_not_equal(file, MAP_FAILED);
    assert_int_equal(procmem_read(getpid(), &after), 0);
    assert_true(after.rss_bytes - before.rss_bytes > 15 * MIB);
    assert_true(after.private_bytes - before.private_bytes < 1 * MIB);
    assert_int_equal(munmap((void *)(uintptr_t)file, 16 * (size_t)MIB), 0);
    close(fd);
}

static void a_quick_reading_leaves_out_what_is_dear(void **state)
{
    (void)state;
    struct child child = start_child("quick", 8 * (size_t)MIB);
    struct procmem quick, full;
    assert_int_equal(procmem_read_quick(child.pid, &quick), 0);
    assert_int_equal(procmem_read(child.pid, &full), 0);
    assert_int_equal(quick.pss_bytes, -1);
    assert_int_equal(quick.private_bytes, -1);
    assert_int_equal(quick.swap_bytes, -1);
    assert_int_equal(quick.merged_bytes, -1);
    assert_int_equal(quick.page_table_bytes, -1);
    // The kernel counts this in batches for each processor, so that it may be off by some pages.
    assert_true(llabs(quick.rss_bytes - full.rss_bytes) < 4 * MIB);
    assert_true(quick.minor_faults > 0 && quick.minor_faults <= full.minor_faults);
    assert_true(quick.cpu_ns > 0 && quick.cpu_ns <= full.cpu_ns);
    end_child(child);
}

static void cpu_time_is_finer_than_a_tick(void **state)
{
    (void)state;
    struct procmem before, after;
    assert_int_equal(procmem_read_quick(getpid(), &before), 0);
    do {
        assert_int_equal(procmem_read_quick(getpid(), &after), 0);
    } while (after.cpu_ns == before.cpu_ns);
    assert_true(after.cpu_ns > before.cpu_ns);
    assert_true(before.cpu_ns % 10000000 != 0 || after.cpu_ns % 10000000 != 0);
}

static void a_name_with_parentheses_and_blanks_does_not_confuse_it(void **state)
{
    (void)state;
    struct child child = start_child("a) R 1 (b", 0);
    struct procmem mem;
    assert_int_equal(procmem_read(child.pid, &mem), 0);
    assert_true(mem.minor_faults > 0);
    assert_true(mem.cpu_ns > 0);
    end_child(child);
}

static void a_process_that_has_ended_and_was_not_waited_for_is_gone(void **state)
{
    (void)state;
    struct child child = start_child("ended", 0);
    close(child.hold);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
    struct procmem mem;
    assert_int_equal(procmem_read(child.pid, &mem), -ESRCH);
    assert_int_equal(procmem_read_quick(child.pid, &mem), -ESRCH);
    assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
}

static void a_process_that_is_gone_is_told(void **state)
{
    (void)state;
    struct child child = start_child("gone", 0);
    end_child(child);
    struct procmem mem, untouched;
    memset(&mem, 0x5a, sizeof mem);
    untouched = mem;
    assert_int_equal(procmem_read(child.pid, &mem), -ESRCH);
    assert_int_equal(procmem_read_quick(child.pid, &mem), -ESRCH);
    assert_int_equal(procmem_read(-1, &mem), -ESRCH);
    assert_memory_equal(&mem, &untouched, sizeof mem);
}

static void the_kernel_s_own_memory_is_read(void **state)
{
    (void)state;
    struct kernmem mem;
    assert_int_equal(kernmem_read(&mem), 0);
    assert_true(mem.slab_bytes > 0);
    assert_true(mem.proc_bytes < mem.slab_bytes);
    assert_true(mem.page_table_bytes > 0);
    assert_true(mem.kernel_stack_bytes > 0);
    assert_true(mem.free_bytes > 0);
    assert_true(mem.tcp_bytes >= 0);
    assert_true(mem.tcp_orphan >= 0 && mem.tcp_time_wait >= 0);
}

// As a monitor does: an inode of /proc comes to be for each descriptor that is listed.
static void list_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder))
        ;
    closedir(folder);
}

static void what_proc_itself_takes_is_known_apart(void **state)
{
    (void)state;
    enum { DESCRIPTORS = 400, LEAST_INODE = 256 };
    struct kernmem before, after;
    assert_int_equal(kernmem_read(&before), 0);
    if (before.proc_bytes < 0)
        skip(); // not root
    int fds[DESCRIPTORS];
    for (int i = 0; i < DESCRIPTORS; i++)
        assert_true((fds[i] = dup(0)) >= 0);
    // The kernel may give them back between the two: once is enough.
    int64_t most = 0;
    for (int i = 0; i < 20 && most < DESCRIPTORS * LEAST_INODE; i++) {
        list_descriptors();
        assert_int_equal(kernmem_read(&after), 0);
        most = after.proc_bytes > most ? after.proc_bytes : most;
    }
    assert_true(most >= DESCRIPTORS * LEAST_INODE);
    for (int i = 0; i < DESCRIPTORS; i++)
        close(fds[i]);
}

static void a_listening_socket_is_counted(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(fd, 1), 0);
    struct kernmem mem;
    assert_int_equal(kernmem_read(&mem), 0);
    assert_true(mem.tcp_in_use >= 1);
    close(fd);
}

// Closing them does not make the table smaller.
static void the_table_of_descriptors_tells_how_many_there_ever_were(void **state)
{
    (void)state;
    int64_t before = procmem_descriptors(getpid());
    int high = fcntl(STDERR_FILENO, F_DUPFD, 300);
    assert_true(high >= 300);
    if (before >= 0) {
        assert_int_equal(procmem_descriptors(getpid()), before + 1);
    }
    int64_t slots = procmem_descriptor_slots(getpid());
    close(high);
    assert_true(slots == -1 || slots > 300); // -1 on other kernels than Linux
    assert_int_equal(procmem_descriptor_slots(getpid()), slots);
    assert_int_equal(procmem_descriptors(-1), -1);
    assert_int_equal(procmem_descriptor_slots(-1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_reads_this_process),
        cmocka_unit_test(the_highest_memory_stays_when_it_is_given_back),
        cmocka_unit_test(the_table_of_descriptors_tells_how_many_there_ever_were),
        cmocka_unit_test(shared_memory_has_a_figure_of_its_own),
        cmocka_unit_test(private_memory_has_what_is_swapped_out),
        cmocka_unit_test(memory_that_forks_share_and_what_was_given_back_are_known_apart),
        cmocka_unit_test(touched_memory_of_another_process_shows_in_all_of_its_figures),
        cmocka_unit_test(pages_of_a_file_are_not_private_though_nobody_else_has_mapped_them),
        cmocka_unit_test(a_quick_reading_leaves_out_what_is_dear),
        cmocka_unit_test(cpu_time_is_finer_than_a_tick),
        cmocka_unit_test(a_name_with_parentheses_and_blanks_does_not_confuse_it),
        cmocka_unit_test(a_process_that_has_ended_and_was_not_waited_for_is_gone),
        cmocka_unit_test(a_process_that_is_gone_is_told),
        cmocka_unit_test(the_kernel_s_own_memory_is_read),
        cmocka_unit_test(what_proc_itself_takes_is_known_apart),
        cmocka_unit_test(a_listening_socket_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
