/** Chat templates come with a model's files: what asks for too much is refused, and all else is as the library has it. */
import { Template } from '@huggingface/jinja';
import { expect, test } from 'vitest';
import { renderChat } from '../../src/model/text/chat-template.ts';

const MESSAGES = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi {{ there }}' },
] as const;

test.each([
  // As Mixtral's, Qwen's and gpt-oss's, in short.
  `{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] | trim + ' [/INST]' }}
  {%- endif %}{% endfor %}`,
  `{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}`,
  `{%- macro line(x) %}{{ x|upper }}{{ loop }}{% endmacro %}{% set ns = namespace(all=[], n=0) %}
  {%- for i in range(2, 9, 3) %}{% set ns.n = ns.n + i %}{{ i }},{% endfor %}{{ ns.n }}{{ range(3)|list|length }}
  {{- range(5, 0, -2)|join('-') }}{{ messages|tojson }}{{ none is none }}{{ True }}{{ strftime_now('%Y-%m')|length }}`,
])('%s', (text) => {
  const tokens = { bos_token: '<s>' };
  const render = (new Template(text) as unknown as { render(values: object): string }).render.bind(
    new Template(text),
  );
  expect(renderChat(text, tokens, MESSAGES)).toBe(
    render({ ...tokens, messages: MESSAGES, add_generation_prompt: true }),
  );
});

test.each<[text: string, message: RegExp, mostMs?: number]>([
  ['{% for i in range(10**9) %}{% endfor %}', /a value of more than/],
  ['{% for i in range(1000000000) %}{% endfor %}', /a value of more than \d+ characters or elements/],
  ['{% for i in range(20000) %}{% for j in range(20000) %}{% endfor %}{% endfor %}', /more than 100 ms/, 100],
  [
    '{% set ns = namespace(s="x") %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}',
    /a value of more than/,
  ],
  ['{% for i in range(20000) %}{{ "some text" }}{% endfor %}', /a value of more than/],
  [
    '{% set ns = namespace(a=[]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a|tojson }}',
    /a value of more than/,
  ],
  ['{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}', /./],
  [`{{${'('.repeat(60000)}1${')'.repeat(60000)}}}`, /./],
  ['a'.repeat(10_000_000), /10000000 characters, more than 131072/],
  [' '.repeat(130_000), /130000 blanks in a row, more than 1024/],
])('%.60s asks for too much', (text, message, mostMs = 60_000) => {
  const began = performance.now();
  expect(() => renderChat(text, {}, MESSAGES, mostMs)).toThrow(message);
  // A busy machine may take longer for what comes between two looks at the clock.
  expect(performance.now() - began).toBeLessThan(10_000);
});
