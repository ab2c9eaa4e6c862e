// SPDX-License-Identifier: Apache-2.0
// Draws Vega-Lite specifications as SVG without a browser. stdin: a JSON list of specifications. stdout: a JSON list of SVG
// texts. Arguments: the paths of vega.min.js and vega-lite.min.js. Pages inline the same files, so both draw alike.
'use strict';
const fs = require('fs');
const vm = require('vm');

for (const path of process.argv.slice(2)) vm.runInThisContext(fs.readFileSync(path, 'utf8'), {filename: path});

async function draw(spec) {
    // A page sets the widths; these are for drawing without a page.
    if (spec.width === 'container') spec.width = 760;
    const panels = (spec.usermeta || {}).panels || 1;
    if (spec.facet) spec.spec.width = panels > 1 ? 340 : 760;
    for (const view of spec.concat || []) view.width = 300;
    for (const view of spec.vconcat || []) view.width = 700;
    const runtime = vega.parse(vegaLite.compile(spec, {logger: quiet()}).spec);
    const view = new vega.View(runtime, {renderer: 'none', logger: quiet()});
    const text = await view.toSVG();
    view.finalize();
    return text;
}

function quiet() {
    const logger = vega.logger(vega.Error, 'error', (kind, level, messages) => console.error(kind, ...messages));
    return logger;
}

(async () => {
    const made = [];
    for (const spec of JSON.parse(fs.readFileSync(0, 'utf8'))) made.push(await draw(spec));
    fs.writeFileSync(1, JSON.stringify(made));
})().catch((error) => {
    console.error(error.stack || String(error));
    process.exit(1);
});
