// Runs an ONNX file in onnxruntime-web: node run.mjs FOLDER_OF_NPM model.onnx network.json
// network.json is what `duet network … --json` printed of it. Fails unless the output has the shape that duet inferred,
// is finite, is not constant, and is the same twice.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const [folder, model, description] = process.argv.slice(2);
const require = createRequire(path.resolve(folder, 'package.json'));
const ort = require('onnxruntime-web');
ort.env.wasm.numThreads = 1;

const { nodes, output } = JSON.parse(readFileSync(description, 'utf8'));
const feeds = {};
let word = 12345; // a linear congruential generator: the same numbers everywhere
for (const node of nodes.filter((n) => n.op === 'input')) {
  const size = node.shape.reduce((a, b) => a * b, 1);
  const table = nodes.find((n) => n.op === 'embedding' && n.inputs[0] === node.name);
  const next = () => (word = (Math.imul(word, 1664525) + 1013904223) >>> 0);
  feeds[node.name] = table
    ? new ort.Tensor('int64', BigInt64Array.from({ length: size }, () => BigInt(next() % table.entries)), node.shape)
    : new ort.Tensor('float32', Float32Array.from({ length: size }, () => next() / 2 ** 31 - 1), node.shape);
}
const session = await ort.InferenceSession.create(readFileSync(model), { executionProviders: ['wasm'] });
const first = (await session.run(feeds))[output];
const second = (await session.run(feeds))[output];
const expected = nodes.find((n) => n.name === output).shape;
const fail = (what) => {
  console.error(`${model}: ${what}`);
  process.exit(1);
};
if (JSON.stringify(first.dims.map(Number)) !== JSON.stringify(expected)) fail(`output (${first.dims}), expected (${expected})`);
if (!first.data.every(Number.isFinite)) fail('the output is not finite');
if (first.data.every((x) => x === first.data[0])) fail('the output is constant');
if (!first.data.every((x, i) => x === second.data[i])) fail('the output differs from run to run');
console.log(`${path.basename(model)}: (${first.dims}), from ${Math.min(...first.data)} to ${Math.max(...first.data)}`);
process.exit(0);
