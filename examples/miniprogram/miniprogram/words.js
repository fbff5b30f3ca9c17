/** What the screen says of a status. Only `failed` is a failed payment; a failure of the network never is. */
const WORDS = {
  pending: ['waiting', '等待支付', '支付完成后会自动显示结果'],
  processing: ['waiting', '支付处理中', '正在等待支付结果'],
  succeeded: ['success', '支付成功', ''],
  failed: ['warn', '支付失败', '可以重新支付'],
  closed: ['info', '订单已关闭', '请重新下单'],
  refunded: ['info', '已退款', ''],
};

exports.describe = (order) => {
  const [icon, title, note] = WORDS[order.status];
  const reason = order.reason === 'expired' ? '超时未支付，请重新下单' : order.reason;
  return { icon, title, note: reason || note, final: order.final };
};

/** No such order, or not this secret's: nothing is to be paid here. */
exports.lost = { icon: 'warn', title: '无法查询', note: '查不到这个订单', final: true };
