import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WatchOptions } from 'payquery-client';
import { usePayment as usePaymentInReact } from 'payquery-client/react';
import { usePayment as vuePayment } from 'payquery-client/vue';
import { createElement } from 'react';
import { renderToString as renderReact } from 'react-dom/server';
import { createSSRApp, effectScope, h, nextTick, ref, shallowRef } from 'vue';
import { renderToString as renderVue } from 'vue/server-renderer';
import { FakeClock } from './support/fake_clock';
import { answer, document, Scripted } from './support/scripted';

function watched(orderId = 'a') {
  const [adapter, clock] = [new Scripted(), new FakeClock()];
  const options: WatchOptions = { baseUrl: 'https://pay.example.com', orderId, clientSecret: 's', adapter, clock };
  return { adapter, clock, options };
}

test('vue: rendering on a server asks nothing, and leaves nothing behind', async () => {
  const { adapter, clock, options } = watched();
  const app = createSSRApp({
    setup() {
      const payment = vuePayment(() => options);
      return () => h('p', payment.value.document?.status || 'loading');
    },
  });
  assert.equal(await renderVue(app), '<p>loading</p>');
  assert.deepEqual([adapter.calls.length, clock.pending()], [0, []]);
});

test('react: rendering on a server asks nothing, and leaves nothing behind', () => {
  const { adapter, clock, options } = watched();
  const Payment = () => createElement('p', null, usePaymentInReact(options)?.document?.status || 'loading');
  assert.equal(renderReact(createElement(Payment)), '<p>loading</p>');
  assert.deepEqual([adapter.calls.length, clock.pending()], [0, []]);
});

test('vue: options that are a value, a ref, a getter, or none at first are followed, until their scope is no more', async () => {
  const [one, other] = [watched('a'), watched('b')];
  const given = shallowRef<WatchOptions>();
  const number = ref(0);
  const choices = [undefined, one.options, other.options];
  const getter = () => choices[number.value];
  for (const [ways, go] of [
    [
      given,
      (to: number) => {
        given.value = choices[to];
      },
    ],
    [
      getter,
      (to: number) => {
        number.value = to;
      },
    ],
  ] as const) {
    const scope = effectScope();
    const payment = scope.run(() => vuePayment(ways));
    const shown = () => payment?.value.document?.order_id;
    assert.equal(shown(), undefined);
    go(1);
    await nextTick();
    one.adapter.last.onAnswer(answer(200, document(1)));
    assert.equal(shown(), 'a');
    go(2);
    await nextTick();
    assert.deepEqual([shown(), one.adapter.open, one.clock.pending()], [undefined, 0, []]);
    other.adapter.last.onAnswer(answer(200, { ...document(1), order_id: 'b' }));
    assert.equal(shown(), 'b');
    payment?.value.pause();
    assert.equal(other.adapter.open, 0);
    payment?.value.resume();
    assert.equal(other.adapter.open, 1);
    scope.stop();
    assert.deepEqual([other.adapter.open, other.clock.pending()], [0, []]);
    go(1);
    await nextTick();
    assert.equal(one.adapter.open, 0);
  }
  const scope = effectScope();
  scope.run(() => vuePayment(one.options));
  assert.equal(one.adapter.open, 1);
  scope.stop();
  assert.equal(one.adapter.open, 0);
});
