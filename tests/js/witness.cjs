// SPDX-License-Identifier: Apache-2.0
// MQTT.js against a broker (tests/py/test_witnesses.py): publishes, leaves and comes back, and prints what came as JSON.
//
//     node witness.cjs MODULE mqtt://127.0.0.1:PORT COUNT
'use strict';
const {once} = require('events');
const mqtt = require(process.argv[2]);
const url = process.argv[3];
const count = Number(process.argv[4]);

function open(options) {
    return new Promise((resolve, reject) => {
        const client = mqtt.connect(url, {protocolVersion: 4, reconnectPeriod: 0, keepalive: 0, ...options});
        client.came = [];
        client.on('message', (topic, payload, packet) => {
            client.came.push([topic, payload.toString(), packet.qos, Boolean(packet.retain)]);
            client.emit('came');
        });
        client.once('connect', (connack) => {
            client.present = connack.sessionPresent;
            resolve(client);
        });
        client.once('error', reject);
    });
}

function ask(client, method, ...words) {
    return new Promise((resolve, reject) => client[method](...words, (error, answer) => (error ? reject(error) : resolve(answer))));
}

async function take(client, wanted) {
    while (client.came.length < wanted)
        await once(client, 'came');
    return client.came.splice(0);
}

const publish = (client, topic, payload, qos, retain = false) => ask(client, 'publish', topic, payload, {qos, retain});

(async () => {
    const told = {};
    const publisher = await open({clientId: 'js-publisher'});
    let subscriber = await open({clientId: 'js-subscriber', clean: false});
    told.granted = (await ask(subscriber, 'subscribe', {'w/#': {qos: 2}})).map((one) => one.qos);
    for (let number = 0; number < count; number++)
        await Promise.all([0, 1, 2].map((qos) => publish(publisher, `w/${qos}`, String(number), qos)));
    told.here = await take(subscriber, 3 * count);
    await ask(subscriber, 'end', false, {});
    for (let number = 0; number < count; number++)
        await Promise.all([1, 2].map((qos) => publish(publisher, `w/${qos}`, String(number), qos)));
    subscriber = await open({clientId: 'js-subscriber', clean: false});
    told.present = subscriber.present;
    told.away = await take(subscriber, 2 * count);
    await publish(publisher, 'r/1', 'kept', 1, true);
    await ask(subscriber, 'subscribe', 'r/+', {qos: 1});
    told.retained = await take(subscriber, 1);
    const mortal = await open({clientId: 'js-mortal', will: {topic: 'w/will', payload: 'gone', qos: 1, retain: false}});
    mortal.stream.destroy();
    told.will = await take(subscriber, 1);
    await publish(publisher, 'w/end', 'end', 2);
    told.end = await take(subscriber, 1);
    await Promise.all([subscriber, publisher].map((client) => ask(client, 'end', false, {})));
    console.log(JSON.stringify(told));
})().catch((error) => {
    console.error(error);
    process.exit(1);
});
