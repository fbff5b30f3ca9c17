import { usePayment } from 'payquery-client/vue';
import { createApp, defineComponent, h, KeepAlive, ref } from 'vue';
import { readOptions } from './app_options';

const index = ref(0);
const round = ref(1);

const Payment = defineComponent(() => {
  const called = ref('');
  const payment = usePayment(() => {
    const options = readOptions(index.value);
    const now = round.value;
    return (
      options && {
        ...options,
        onStatus({ status }) {
          called.value = `${status} in round ${now}`;
        },
      }
    );
  });
  return () => {
    const { document, error, unknown, refresh, pause, resume } = payment.value;
    const text = unknown ? 'unknown' : error?.fatal ? error.code : document?.status || 'loading';
    return [
      h('p', { id: 'text', onClick: refresh }, text),
      h('p', { id: 'called' }, called.value),
      h('button', { onClick: pause }, 'pause'),
      h('button', { onClick: resume }, 'resume'),
    ];
  };
});

const App = defineComponent(() => {
  const [shown, aside] = [ref(true), ref(false)];
  const button = (text: string, onClick: () => void) => h('button', { onClick }, text);
  return () => [
    shown.value ? h(KeepAlive, null, () => (aside.value ? undefined : h(Payment))) : undefined,
    button('leave', () => {
      shown.value = false;
    }),
    button('aside', () => {
      aside.value = !aside.value;
    }),
    button('next order', () => {
      index.value++;
    }),
    button('next round', () => {
      round.value++;
    }),
  ];
});

createApp(App).mount('#app');
