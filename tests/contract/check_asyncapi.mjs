/*
 * check_asyncapi.mjs: is docs/asyncapi.yaml a valid AsyncAPI document?
 *
 * Called from test_documents.py. Prints one problem a line and exits 1, or
 * prints the messages of the document, `<name> <id>`, and exits 0.
 */

import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';

const file = process.argv[2];
const { document, diagnostics } = await new Parser().parse(
    readFileSync(file, 'utf8'), { source: file });

/* 0 is an error, 1 a warning; hints about taste are not ours */
const bad = diagnostics.filter((d) => d.severity <= 1);

for (const d of bad) {
    console.log(`${file}:${d.range.start.line + 1}: ${d.code}: ${d.message}`);
}

if (bad.length > 0 || document === undefined) {
    process.exit(1);
}

for (const message of document.allMessages()) {
    console.log(`${message.name()} ${message.id()}`);
}
