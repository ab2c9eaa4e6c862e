// SPDX-License-Identifier: Apache-2.0
#include "tests/mosquitto_process.h"

#include "base/clock.h"
#include "tests/temp_dir.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

bool mosquitto_is_installed(void)
{
    return access("/usr/sbin/mosquitto", X_OK) == 0;
}

// A free port, by asking for one and giving it back: mosquitto does not say which it got. Should somebody
// else take it meanwhile, mosquitto ends, and another is tried.
struct process *mosquitto_start(const char *dir, const char *settings, uint16_t *port)
{
    char file[TEMP_PATH_SIZE];
    for (int attempt = 0; attempt < 5; attempt++) {
        struct process *free_port = process_start_broker(NULL, NULL);
        *port = process_port(free_port);
        assert_int_equal(process_stop(free_port), 0);
        FILE *config = fopen(temp_dir_file(dir, "mosquitto.conf", file), "w");
        assert_non_null(config);
        fprintf(config, "listener %u 127.0.0.1\n%slog_dest stderr\nlog_type all\n", (unsigned)*port,
                settings);
        fclose(config);
        const char *arguments[] = {"-c", file, NULL};
        struct process *mosquitto = process_start("mosquitto", arguments);
        int64_t limit_ns = clock_now_ns() + PROCESS_GUARD_S * NS_PER_S;
        while (clock_now_ns() < limit_ns && kill(process_pid(mosquitto), 0) == 0) {
            const char *said = process_errors(mosquitto);
            if (strstr(said, " running"))
                return mosquitto;
            if (strstr(said, "Error:"))
                break;
            clock_sleep_until_ns(clock_now_ns() + 20 * NS_PER_MS);
        }
        process_stop(mosquitto);
    }
    fail_msg("mosquitto did not start");
    return NULL;
}
