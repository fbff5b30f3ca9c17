import { usePayment } from 'payquery-client/vue';
import { createApp, defineComponent, h, ref } from 'vue';
import { readOptions } from './app_options';

const Payment = defineComponent(() => {
  const payment = usePayment(readOptions());
  return () => {
    const { document, error, unknown, refresh } = payment.value || {};
    const text = unknown ? 'unknown' : error?.fatal ? error.code : document?.status || 'loading';
    return h('p', { onClick: refresh }, text);
  };
});

const App = defineComponent(() => {
  const shown = ref(true);
  return () => [
    shown.value ? h(Payment) : undefined,
    h(
      'button',
      {
        onClick: () => {
          shown.value = false;
        },
      },
      'leave',
    ),
  ];
});

createApp(App).mount('#app');
