// SPDX-License-Identifier: Apache-2.0
#include "tests/wire_bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

struct packet packet_of(const void *data, size_t bytes)
{
    struct packet packet = {.data = malloc(bytes ? bytes : 1), .bytes = bytes};
    size_t needed;
    assert_non_null(packet.data);
    memcpy(packet.data, data, bytes);
    packet.error = mqtt_frame_decode(packet.data, bytes, 0, &packet.frame, &needed);
    if (packet.error == MQTT_OK)
        assert_int_equal(needed, bytes);
    return packet;
}

void packet_free(struct packet *packet)
{
    free(packet->data);
    packet->data = NULL;
}

void assert_bytes(const void *got, int got_bytes, const void *wanted, size_t wanted_bytes)
{
    assert_int_equal(got_bytes, wanted_bytes);
    assert_memory_equal(got, wanted, wanted_bytes);
}
