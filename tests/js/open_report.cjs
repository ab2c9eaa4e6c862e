// SPDX-License-Identifier: Apache-2.0
// Opens a report from disk in Debian's Chromium and prints what it saw as JSON: charts wanted and drawn, console
// errors, requests to anywhere, charts that are not as wide as their column, sideways scrolling on a phone.
//
//     node open_report.cjs PLAYWRIGHT_CORE REPORT.html [SCREENSHOT_PREFIX]
'use strict';
const {chromium} = require(process.argv[2]);
const [page_path, shots] = process.argv.slice(3);

(async () => {
    const browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu']});
    const errors = [], requests = [];
    const seen = {};
    for (const [name, options] of [['light', {}], ['dark', {colorScheme: 'dark'}],
                                   ['phone', {viewport: {width: 390, height: 844}, isMobile: true}]]) {
        const context = await browser.newContext(options);
        const page = await context.newPage();
        page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) errors.push(message.text()); });
        page.on('pageerror', (error) => errors.push(String(error)));
        page.on('request', (request) => {
            if (!/^(file|data|blob):/.test(request.url())) requests.push(request.url());
        });
        await page.goto('file://' + page_path);
        await page.evaluate(() => window.drawn);
        seen[name] = await page.evaluate(() => ({
            wanted: document.querySelectorAll('[data-chart]').length,
            drawn: [...document.querySelectorAll('[data-chart] svg.marks')]
                .filter((one) => one.querySelector('[aria-roledescription], path')).length,
            menus: document.querySelectorAll('[data-chart] .vega-actions').length,
            misfits: [...document.querySelectorAll('[data-chart] svg.marks')]
                .map((one) => [one.closest('[data-chart]').dataset.chart,
                               one.width.baseVal.value / document.getElementById('charts').clientWidth])
                .filter(([, share]) => share > 1.1 || share < 0.9),
            sideways: document.documentElement.scrollWidth > innerWidth + 1,
            text: document.body.innerText.length,
        }));
        if (shots) await page.screenshot({path: `${shots}-${name}.png`, fullPage: true});
        await context.close();
    }
    await browser.close();
    console.log(JSON.stringify({seen, errors, requests}));
})().catch((error) => {
    console.error(error.stack || String(error));
    process.exit(1);
});
