// SPDX-License-Identifier: Apache-2.0
#include "loadgen/payload_form.h"

#include "base/clock.h"
#include "loadgen/backoff.h"
#include "loadgen/whole_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TABLE_BITS = 12 };
_Static_assert(1 << TABLE_BITS == PAYLOAD_SIZES_COUNT, "a place of the table for each value of these bits");

int payload_form_choose(struct payload_form *form, const struct payload_sizes *sizes, const char *file,
                        const char *template_file, struct err *err)
{
    if (file && template_file)
        return err_set(err, -EINVAL, "--payload-file and --payload-template: a message is one of both");
    *form = (struct payload_form){
        .given = true,
        .kind = file            ? PAYLOAD_FILE
                : template_file ? PAYLOAD_TEMPLATE
                                : PAYLOAD_RANDOM,
        .sizes = *sizes,
        .path = file ? file : template_file,
    };
    return 0;
}

int64_t payload_form_guess(const struct payload_form *form)
{
    struct stat facts;
    if (form->kind == PAYLOAD_RANDOM)
        return form->sizes.kind == SIZES_ONE || form->sizes.kind == SIZES_RANGE
                   ? (form->sizes.least + form->sizes.most) / 2
                   : (int64_t)form->sizes.mean;
    int64_t bytes = stat(form->path, &facts) == 0 ? facts.st_size : 0;
    return bytes + (form->kind == PAYLOAD_FILE ? 1 : 2) * PAYLOAD_MIN_BYTES;
}

static int prepare_sizes(struct payload_form *form, struct err *err)
{
    form->most = (size_t)form->sizes.most;
    form->mean = (double)form->sizes.most;
    if (form->sizes.kind == SIZES_ONE)
        return 0;
    form->table = calloc(PAYLOAD_SIZES_COUNT, sizeof *form->table);
    if (!form->table)
        return err_set(err, -ENOMEM, "out of memory for the sizes of messages");
    double sum = 0;
    for (int i = 0; i < PAYLOAD_SIZES_COUNT; i++) {
        form->table[i] = payload_sizes_at(&form->sizes, (i + 0.5) / PAYLOAD_SIZES_COUNT);
        sum += form->table[i];
    }
    form->most = form->table[PAYLOAD_SIZES_COUNT - 1];
    form->mean = sum / PAYLOAD_SIZES_COUNT;
    return 0;
}

static int prepare_file(struct payload_form *form, struct err *err)
{
    size_t most = PAYLOAD_SIZES_MOST - PAYLOAD_MIN_BYTES;
    int code = whole_file_read(form->path, most, &form->file, &form->file_bytes, err);
    if (code < 0)
        return err_prefix(err, -EINVAL, "--payload-file");
    form->most = form->file_bytes + PAYLOAD_MIN_BYTES;
    form->mean = (double)form->most;
    return 0;
}

static int prepare_template(struct payload_form *form, struct err *err)
{
    int code = whole_file_read(form->path, PAYLOAD_SIZES_MOST / 2, &form->file, &form->file_bytes, err);
    if (code < 0)
        return err_prefix(err, -EINVAL, "--payload-template");
    form->made = calloc(1, sizeof *form->made);
    if (!form->made)
        return err_set(err, -ENOMEM, "out of memory for the template");
    code = payload_template_parse(form->made, form->file, form->file_bytes, err);
    if (code < 0)
        return err_prefix(err, -EINVAL, "--payload-template %s", form->path);
    form->made->wall_ns = clock_wall_ns() - clock_now_ns();
    form->most = form->made->most;
    form->mean = (double)form->most;
    return 0;
}

int payload_form_prepare(struct payload_form *form, int64_t seed, struct err *err)
{
    if (!form->given)
        return 0;
    form->seed = (uint64_t)seed;
    switch (form->kind) {
    case PAYLOAD_FILE:
        return prepare_file(form, err);
    case PAYLOAD_TEMPLATE:
        return prepare_template(form, err);
    default:
        return prepare_sizes(form, err);
    }
}

void payload_form_free(struct payload_form *form)
{
    free(form->table);
    free(form->file);
    free(form->made);
    *form = (struct payload_form){.given = false};
}

static enum payload_content read_file(const struct payload_form *form, const uint8_t *data, size_t bytes,
                                      struct payload *payload)
{
    struct payload read;
    if (bytes < PAYLOAD_MIN_BYTES || !payload_header_read(data, bytes, &read))
        return PAYLOAD_STRANGE;
    *payload = read;
    size_t body = bytes - PAYLOAD_MIN_BYTES;
    bool whole = body == form->file_bytes && memcmp(data + PAYLOAD_MIN_BYTES, form->file, body) == 0;
    return whole ? PAYLOAD_WHOLE : PAYLOAD_CORRUPT;
}

enum payload_content payload_form_read(const struct payload_form *form, const uint8_t *data, size_t bytes,
                                       struct payload *payload)
{
    if (!form || form->kind == PAYLOAD_RANDOM)
        return payload_read(data, bytes, payload);
    return form->kind == PAYLOAD_FILE ? read_file(form, data, bytes, payload)
                                      : payload_template_read(form->made, data, bytes, payload);
}

int payload_maker_open(struct payload_maker *maker, const struct payload_form *form, size_t bytes)
{
    *maker = (struct payload_maker){.form = form, .bytes = form ? form->most : bytes};
    if (!form || form->kind == PAYLOAD_RANDOM)
        return payload_writer_open(&maker->writer, maker->bytes);
    maker->buffer = malloc(maker->bytes);
    if (!maker->buffer)
        return -ENOMEM;
    if (form->kind == PAYLOAD_FILE && form->file_bytes > 0)
        memcpy(maker->buffer + PAYLOAD_MIN_BYTES, form->file, form->file_bytes);
    return 0;
}

void payload_maker_close(struct payload_maker *maker)
{
    payload_writer_close(&maker->writer);
    free(maker->buffer);
    *maker = (struct payload_maker){.form = NULL};
}

// The size depends on publisher and sequence alone, so a run with the same seed has the same.
static size_t size_of(const struct payload_form *form, const struct payload *payload)
{
    uint64_t bits = chance_bits(form->seed + payload->pair, payload->sequence);
    return form->table[bits >> (64 - TABLE_BITS)];
}

const uint8_t *payload_make(struct payload_maker *maker, const struct payload *payload, size_t *bytes)
{
    const struct payload_form *form = maker->form;
    *bytes = maker->bytes;
    if (!form || form->kind == PAYLOAD_RANDOM) {
        if (form && form->table)
            *bytes = size_of(form, payload);
        return payload_write(&maker->writer, *bytes, payload);
    }
    if (form->kind == PAYLOAD_TEMPLATE)
        *bytes = payload_template_write(form->made, payload, maker->buffer);
    else
        payload_header_write(maker->buffer, *bytes, payload);
    return maker->buffer;
}
