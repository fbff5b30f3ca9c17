import { usePayment } from 'payquery-client/react';
import { createElement, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { readOptions } from './app_options';

function Payment() {
  const payment = usePayment(readOptions());
  if (!payment) return createElement('p', null, 'not yet');
  const { document, error, unknown, refresh } = payment;
  const text = unknown ? 'unknown' : error?.fatal ? error.code : document?.status || 'loading';
  return createElement('p', { onClick: refresh }, text);
}

function App() {
  const [shown, setShown] = useState(true);
  return createElement(
    'div',
    null,
    shown && createElement(Payment),
    createElement('button', { type: 'button', onClick: () => setShown(false) }, 'leave'),
  );
}

const place = document.querySelector('#app');
if (place) createRoot(place).render(createElement(App));
