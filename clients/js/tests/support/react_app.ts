import { usePayment } from 'payquery-client/react';
import { createElement, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { readOptions } from './app_options';

function Payment({ index, round }: { index: number; round: number }) {
  const [called, setCalled] = useState('');
  const options = readOptions(index);
  const payment = usePayment(
    options && { ...options, onStatus: ({ status }) => setCalled(`${status} in round ${round}`) },
  );
  if (!payment) return createElement('p', null, 'not yet');
  const { document, error, unknown, refresh } = payment;
  const text = unknown ? 'unknown' : error?.fatal ? error.code : document?.status || 'loading';
  return [
    createElement('p', { key: 'text', id: 'text', onClick: refresh }, text),
    createElement('p', { key: 'called', id: 'called' }, called),
  ];
}

function App() {
  const [shown, setShown] = useState(true);
  const [index, setIndex] = useState(0);
  const [round, setRound] = useState(1);
  const button = (text: string, onClick: () => void) => createElement('button', { type: 'button', onClick }, text);
  return createElement(
    'div',
    null,
    shown && createElement(Payment, { index, round }),
    button('leave', () => setShown(false)),
    button('next order', () => setIndex(index + 1)),
    button('next round', () => setRound(round + 1)),
  );
}

const place = document.querySelector('#app');
if (place) createRoot(place).render(createElement(App));
