// SPDX-License-Identifier: Apache-2.0
#include "pools/plugin/plugin_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <link.h>
#include <sha256.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

// --- who may write it --------------------------------------------------------------------------------------

static int check_owner(const char *path, const struct stat *status, struct err *err)
{
    if (status->st_uid != geteuid() && status->st_uid != 0)
        return err_set(err, -EINVAL,
                       "%s belongs to user %lld: a library of another user is not loaded; copy it first",
                       path, (long long)status->st_uid);
    if (status->st_mode & S_IWOTH)
        return err_set(err, -EINVAL, "%s may be written by everybody (mode %04o); chmod o-w %s", path,
                       (unsigned)status->st_mode & 07777, path);
    // The group of its own that a user has on most systems is no one else.
    if ((status->st_mode & S_IWGRP) && status->st_gid != getegid())
        return err_set(err, -EINVAL, "%s may be written by group %lld (mode %04o); chmod g-w %s", path,
                       (long long)status->st_gid, (unsigned)status->st_mode & 07777, path);
    return 0;
}

// In a folder that everybody may write, without the sticky bit, everybody may replace the file.
static int check_folder(const char *path, const char *real, struct err *err)
{
    char copy[PATH_MAX];
    struct stat status;
    snprintf(copy, sizeof copy, "%s", real);
    if (stat(dirname(copy), &status) < 0)
        return err_set(err, -EINVAL, "%s: its folder cannot be looked at: %s", path, strerror(errno));
    if ((status.st_mode & S_IWOTH) && !(status.st_mode & S_ISVTX))
        return err_set(err, -EINVAL, "%s: everybody may write its folder (mode %04o), and so replace it",
                       path, (unsigned)status.st_mode & 07777);
    return 0;
}

// --- what it is --------------------------------------------------------------------------------------------

// The first fields of an ELF file, which are the same in each of its classes.
struct elf_start {
    unsigned char ident[EI_NIDENT];
    uint16_t type, machine;
};

static const char *machine_name(uint16_t machine, char text[24])
{
    static const struct {
        uint16_t machine;
        const char *name;
    } known[] = {{EM_X86_64, "x86-64"}, {EM_386, "i386"},    {EM_AARCH64, "aarch64"},
                 {EM_ARM, "arm"},       {EM_RISCV, "riscv"}, {EM_PPC64, "ppc64"},
                 {EM_S390, "s390"},     {EM_MIPS, "mips"},   {EM_LOONGARCH, "loongarch"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].machine == machine)
            return known[i].name;
    snprintf(text, 24, "machine %u", machine);
    return text;
}

static bool read_start(int fd, struct elf_start *start)
{
    return pread(fd, start, sizeof *start, 0) == (ssize_t)sizeof *start &&
           memcmp(start->ident, ELFMAG, SELFMAG) == 0;
}

// Compares with the program itself: class, byte order and machine have to be its own.
static int check_elf(int fd, const char *path, struct err *err)
{
    struct elf_start file, self;
    char theirs[24], ours[24];
    if (!read_start(fd, &file))
        return err_set(err, -EINVAL, "%s is no shared library: it is not an ELF file", path);
    int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bool known = program >= 0 && read_start(program, &self);
    if (program >= 0)
        close(program);
    if (!known)
        return 0; // the loader will say
    bool same_order = file.ident[EI_DATA] == self.ident[EI_DATA];
    if (file.ident[EI_CLASS] != self.ident[EI_CLASS] || !same_order || file.machine != self.machine)
        return err_set(err, -EINVAL, "%s is for %s (%s bits); this program is for %s (%s bits)", path,
                       same_order ? machine_name(file.machine, theirs) : "another byte order",
                       file.ident[EI_CLASS] == ELFCLASS64 ? "64" : "32", machine_name(self.machine, ours),
                       self.ident[EI_CLASS] == ELFCLASS64 ? "64" : "32");
    if (file.type != ET_DYN)
        return err_set(err, -EINVAL, "%s is no shared library but %s; link it with -shared", path,
                       file.type == ET_REL ? "an object file" : "another kind of ELF file");
    return 0;
}

// The loader maps each segment and would be ended by SIGBUS behind the end of a file that was cut off.
static int check_whole(int fd, const char *path, off_t bytes, struct err *err)
{
    ElfW(Ehdr) head;
    ElfW(Phdr) segment;
    if (pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head || head.e_phentsize != sizeof segment)
        return err_set(err, -EINVAL, "%s is no whole ELF file: it has no table of segments", path);
    for (unsigned i = 0; i < head.e_phnum; i++) {
        uint64_t at, end;
        bool is_read = !__builtin_add_overflow(head.e_phoff, i * sizeof segment, &at) && at <= INT64_MAX &&
                       pread(fd, &segment, sizeof segment, (off_t)at) == (ssize_t)sizeof segment;
        bool is_within =
            is_read &&
            (segment.p_type != PT_LOAD ||
             (!__builtin_add_overflow(segment.p_offset, segment.p_filesz, &end) && end <= (uint64_t)bytes));
        if (!is_within)
            return err_set(
                err, -EINVAL,
                "%s is cut off: its segments go on behind its end (%lld bytes); copy or link it again", path,
                (long long)bytes);
    }
    return 0;
}

static int take_sum(struct plugin_file *file, int fd, const char *path, struct err *err)
{
    uint8_t bytes[16384];
    SHA256_CTX sum;
    ssize_t count;
    SHA256_Init(&sum);
    for (off_t at = 0; (count = pread(fd, bytes, sizeof bytes, at)) > 0; at += count)
        SHA256_Update(&sum, bytes, (size_t)count);
    if (count < 0)
        return err_set(err, -EINVAL, "%s cannot be read: %s", path, strerror(errno));
    SHA256_End(&sum, file->sha256);
    return 0;
}

static void remember(struct plugin_file *file, const char *path, const struct stat *status)
{
    snprintf(file->name, sizeof file->name, "%s", last_component(path));
    file->device = status->st_dev;
    file->number = status->st_ino;
    file->bytes = status->st_size;
    file->changed = status->st_mtim;
}

static int check_open(struct plugin_file *file, int fd, const char *path, struct err *err)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return err_set(err, -EINVAL, "%s cannot be looked at: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return err_set(err, -EINVAL, "%s is %s and no shared library", path,
                       S_ISDIR(status.st_mode) ? "a folder" : "no regular file");
    if (!realpath(path, file->path))
        return err_set(err, -EINVAL, "%s: its place cannot be found: %s", path, strerror(errno));
    remember(file, path, &status);
    int code = check_owner(path, &status, err);
    if (code == 0)
        code = check_folder(path, file->path, err);
    if (code == 0)
        code = check_elf(fd, path, err);
    if (code == 0)
        code = check_whole(fd, path, status.st_size, err);
    return code == 0 ? take_sum(file, fd, path, err) : code;
}

int plugin_file_check(struct plugin_file *file, const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe must not make it wait
    if (fd < 0)
        return err_set(err, -EINVAL, "%s cannot be opened: %s", path, strerror(errno));
    int code = check_open(file, fd, path, err);
    close(fd);
    return code;
}

int plugin_file_check_same(const struct plugin_file *file, struct err *err)
{
    struct stat now;
    if (stat(file->path, &now) == 0 && now.st_dev == file->device && now.st_ino == file->number &&
        now.st_size == file->bytes && now.st_mtim.tv_sec == file->changed.tv_sec &&
        now.st_mtim.tv_nsec == file->changed.tv_nsec)
        return 0;
    return err_set(err, -EINVAL, "%s was replaced or changed while it was loaded", file->name);
}
