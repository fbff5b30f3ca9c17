// Where things are. For a phone: this machine's address in the network instead of 127.0.0.1. In earnest both are https, and configured as the mini-program's domains (request, and socket as wss).
module.exports = {
  merchant: 'http://127.0.0.1:3000',
  payquery: 'http://127.0.0.1:8080',
};
