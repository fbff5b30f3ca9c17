// The pages' words in English and Chinese. The browser's language chooses; a button changes it.

const WORDS = {
  en: {
    title: 'payquery: has my payment gone through?',
    intro:
      'Create an order, scan its code and pay on the phone, and see how four ways of asking learn of it. Nothing is paid: this is a demo.',
    order: 'Order',
    amount: 'Amount (CNY)',
    expires: 'Open for',
    seconds10: '10 seconds',
    minutes2: '2 minutes',
    minutes30: '30 minutes',
    create: 'Create an order',
    qrAlt: 'QR code of the link to pay',
    payLink: 'Open the payment page here instead (in a new tab)',
    scanHint: 'Scan it with a phone that reaches this address.',
    merchant: "The merchant's part",
    merchantHint: "These buttons report what a merchant's backend would report.",
    pay: 'Pay',
    close: 'Close',
    late: 'Late payment',
    refund: 'Refund',
    again: 'Ask again',
    panels: "What the payer's screen knows",
    times: 'Times: after the button was pressed on this page, or after the first of the four knew it.',
    cost: 'For {seconds} s now: polling has asked {polling} times, long-polling {longpoll} times.',
    noOrder: 'No order yet.',
    polling: 'Polling',
    pollingAbout: 'Asks every now and then. Most answers are: nothing new.',
    longpoll: 'Long-polling',
    longpollAbout: 'Asks once and is held, up to 25 s, until there is news.',
    sse: 'Server-sent events',
    sseAbout: 'One answer that goes on (EventSource).',
    websocket: 'WebSocket',
    websocketAbout: 'A socket over which the documents come.',
    pace: 'every',
    pace500: '0.5 s',
    pace1000: '1 s',
    pace2000: '2 s',
    pace5000: '5 s',
    paceAsked: 'as the service asks',
    version: 'Version',
    requests: 'Requests',
    unchanged: 'Answers without news',
    documents: 'Answers with news',
    asking: 'asking',
    done: 'final: asks no more',
    offline: 'no answer; it tries again. That says nothing of the payment.',
    limited: 'the service asks it to wait; {seconds} s.',
    refused: 'the service refuses: {detail}',
    pending: 'Waiting for the payment',
    processing: 'Being processed',
    succeeded: 'Paid',
    paidLate: 'Paid late, after it was closed',
    failed: 'Failed',
    closed: 'Closed',
    expired: 'Closed: its time was up',
    refunded: 'Refunded',
    actionFailed: 'That did not work: {detail}',
    payTitle: 'Pay',
    payNow: 'Pay {sum}',
    noMoney: 'A demo: no money moves.',
    badLink: 'This link is not complete. Scan the code again.',
    language: '中文',
  },
  zh: {
    title: 'payquery：我的付款成功了吗？',
    intro: '创建订单，用手机扫码支付，并排观察四种查询方式如何得知结果。这是演示，不会真正扣款。',
    order: '订单',
    amount: '金额（元）',
    expires: '有效时间',
    seconds10: '10 秒',
    minutes2: '2 分钟',
    minutes30: '30 分钟',
    create: '创建订单',
    qrAlt: '付款链接的二维码',
    payLink: '直接在此打开付款页面（新标签页）',
    scanHint: '请用能访问此地址的手机扫码。',
    merchant: '商户操作',
    merchantHint: '这些按钮会像商户后台一样上报订单状态。',
    pay: '支付',
    close: '关闭',
    late: '逾期支付',
    refund: '退款',
    again: '重新查询',
    panels: '付款人屏幕看到的状态',
    times: '时间：从在本页按下按钮，或四者中最先得知者算起。',
    cost: '已过 {seconds} 秒：轮询请求了 {polling} 次，长轮询请求了 {longpoll} 次。',
    noOrder: '还没有订单。',
    polling: '轮询',
    pollingAbout: '定时查询，大多数响应是“没有变化”。',
    longpoll: '长轮询',
    longpollAbout: '请求一次，服务端保持最多 25 秒，有变化立即返回。',
    sse: 'SSE 服务器推送',
    sseAbout: '一个持续不断的响应（EventSource）。',
    websocket: 'WebSocket',
    websocketAbout: '通过 WebSocket 连接推送状态。',
    pace: '间隔',
    pace500: '0.5 秒',
    pace1000: '1 秒',
    pace2000: '2 秒',
    pace5000: '5 秒',
    paceAsked: '按服务端建议',
    version: '版本',
    requests: '请求次数',
    unchanged: '无变化的响应',
    documents: '有变化的响应',
    asking: '查询中',
    done: '已是最终状态，不再查询',
    offline: '没有响应，稍后重试。这不代表付款失败。',
    limited: '服务端要求稍候，等待 {seconds} 秒。',
    refused: '服务端拒绝：{detail}',
    pending: '等待付款',
    processing: '处理中',
    succeeded: '已支付',
    paidLate: '关闭后才支付（逾期支付）',
    failed: '支付失败',
    closed: '已关闭',
    expired: '已超时关闭',
    refunded: '已退款',
    actionFailed: '操作未成功：{detail}',
    payTitle: '付款',
    payNow: '支付 {sum}',
    noMoney: '演示页面，不会扣款。',
    badLink: '链接不完整，请重新扫码。',
    language: 'English',
  },
};

const KEPT = 'payquery-demo-language';
let language = kept() || (/^zh\b/i.test(navigator.language) ? 'zh' : 'en');

/** The words of that name, with what stands in braces filled in. */
export function say(name, values = {}) {
  return (WORDS[language][name] ?? name).replace(/\{(\w+)\}/g, (_, key) => values[key] ?? '');
}

/** An order's status in words. */
export function sayStatus(order) {
  if (order.late && order.status === 'succeeded') return say('paidLate');
  if (order.reason === 'expired') return say('expired');
  return say(order.status);
}

/** `minorUnits` of a currency with two decimals. */
export function sayMoney(minorUnits, currency) {
  return new Intl.NumberFormat(language, { style: 'currency', currency, currencyDisplay: 'narrowSymbol' }).format(
    minorUnits / 100,
  );
}

export function sayTime(time) {
  const parts = { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hourCycle: 'h23' };
  return time.toLocaleTimeString(language, parts);
}

/** Said to be disabled, and so to be heeded; but what was just pressed keeps the keyboard's focus. */
export function setDisabled(button, isDisabled) {
  button.setAttribute('aria-disabled', String(isDisabled));
}

export function isDisabled(button) {
  return button.getAttribute('aria-disabled') === 'true';
}

/** Translates the page now, and whenever the button is pressed; `render` writes what is not in the page itself. */
export function translatePage(render) {
  const translate = () => {
    document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
    for (const element of document.querySelectorAll('[data-text]')) element.textContent = say(element.dataset.text);
    const button = document.getElementById('language');
    button.textContent = say('language');
    button.lang = language === 'zh' ? 'en' : 'zh-CN';
    render();
  };
  document.getElementById('language').addEventListener('click', () => {
    language = language === 'zh' ? 'en' : 'zh';
    keep(language);
    translate();
  });
  translate();
}

function kept() {
  try {
    return Object.keys(WORDS).find((name) => name === localStorage.getItem(KEPT));
  } catch {
    return undefined; // a browser that keeps nothing
  }
}

function keep(value) {
  try {
    localStorage.setItem(KEPT, value);
  } catch {
    // it is chosen anew next time
  }
}
