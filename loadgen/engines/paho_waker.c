// SPDX-License-Identifier: Apache-2.0
#include "loadgen/engines/paho_waker.h"

#include "base/clock.h"
#include "wire/mqtt_connect.h"

#include <MQTTAsync.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEP_FIRST_NS (50 * NS_PER_US)
#define STEP_LAST_NS (50 * NS_PER_MS)
#define BEAT_NS (400 * NS_PER_MS) // interval of notifications: keeps the receive thread out of its sleep
#define ACTIVE_NS (2 * NS_PER_S)  // they go on for so long after the last act
enum { ACCEPT_MS = 5000 };

static int listen_somewhere(struct sockaddr_in *address)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0)
        return -1;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof *address;
    if (bind(listener, (struct sockaddr *)address, bytes) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)address, &bytes) < 0) {
        close(listener);
        return -1;
    }
    return listener;
}

static int connect_client(struct paho_waker *waker, const struct sockaddr_in *address, const char *client_id)
{
    char uri[40];
    snprintf(uri, sizeof uri, "tcp://127.0.0.1:%u", (unsigned)ntohs(address->sin_port));
    MQTTAsync handle;
    if (MQTTAsync_create(&handle, uri, client_id, MQTTCLIENT_PERSISTENCE_NONE, NULL) != MQTTASYNC_SUCCESS)
        return -1;
    waker->handle = handle;
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
    options.keepAliveInterval = 0;
    options.cleansession = 1;
    options.MQTTVersion = MQTTVERSION_3_1_1;
    return MQTTAsync_connect(handle, &options) == MQTTASYNC_SUCCESS ? 0 : -1;
}

void paho_waker_open(struct paho_waker *waker, const char *client_id)
{
    *waker = (struct paho_waker){.peer = -1};
    struct sockaddr_in address;
    int listener = listen_somewhere(&address);
    if (listener < 0)
        return;
    struct pollfd wait = {.fd = listener, .events = POLLIN};
    if (connect_client(waker, &address, client_id) == 0 && poll(&wait, 1, ACCEPT_MS) == 1)
        waker->peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    close(listener);
    // Otherwise a notification would wait for the acknowledgement of the one before: 40 ms.
    int on = 1;
    if (waker->peer >= 0)
        (void)!setsockopt(waker->peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // The CONNACK is sent before the CONNECT has come, since only bytes to read end the thread's wait.
    uint8_t connack[4];
    int bytes = mqtt_connack_encode(connack, sizeof connack, MQTT_ACCEPTED, false);
    if (waker->peer >= 0 && (bytes < 0 || send(waker->peer, connack, (size_t)bytes, MSG_NOSIGNAL) != bytes)) {
        close(waker->peer);
        waker->peer = -1;
    }
}

void paho_waker_close(struct paho_waker *waker)
{
    if (waker->handle)
        MQTTAsync_destroy(&waker->handle);
    if (waker->peer >= 0)
        close(waker->peer);
}

void paho_waker_connecting(struct paho_waker *waker, int64_t now_ns)
{
    waker->step_ns = STEP_FIRST_NS;
    waker->next_ns = now_ns + waker->step_ns;
    waker->active_ns = now_ns;
}

void paho_waker_active(struct paho_waker *waker, int64_t now_ns)
{
    waker->active_ns = now_ns;
}

static void wake(struct paho_waker *waker, int64_t now_ns)
{
    static const uint8_t pingresp[] = {0xd0, 0x00}; // section 3.13
    (void)!send(waker->peer, pingresp, sizeof pingresp, MSG_NOSIGNAL | MSG_DONTWAIT);
    // The command of this message notifies the send thread. Messages sent before are read and dropped.
    char scratch[4096];
    (void)!recv(waker->peer, scratch, sizeof scratch, MSG_DONTWAIT);
    (void)!MQTTAsync_send(waker->handle, "w", 1, "w", 0, 0, NULL);
    waker->woken_ns = now_ns;
}

int64_t paho_waker_tick(struct paho_waker *waker, int64_t now_ns, int64_t connecting)
{
    if (waker->peer < 0)
        return INT64_MAX;
    if (connecting > 0) {
        if (now_ns >= waker->next_ns) {
            wake(waker, now_ns);
            waker->step_ns = waker->step_ns * 2 < STEP_LAST_NS ? waker->step_ns * 2 : STEP_LAST_NS;
            waker->next_ns = now_ns + waker->step_ns;
        }
        return waker->next_ns;
    }
    if (now_ns - waker->active_ns >= ACTIVE_NS)
        return INT64_MAX;
    if (now_ns - waker->woken_ns >= BEAT_NS)
        wake(waker, now_ns);
    return waker->woken_ns + BEAT_NS;
}
