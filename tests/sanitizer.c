// SPDX-License-Identifier: Apache-2.0
// What the leak sanitizer does not count against us, whoever starts the test. The Makefile links it into the
// tests of SAN=address; nothing else calls it.

const char *__lsan_default_suppressions(void);

// Ended while it connects, paho.mqtt.c 1.3.12 forgets what it kept for the connect.
const char *__lsan_default_suppressions(void)
{
    return "leak:libpaho-mqtt3a\n";
}
