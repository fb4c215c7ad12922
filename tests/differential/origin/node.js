const fs = require('fs');
const http = require('http');

const log = fs.openSync('seen', 'a');
const see = (line) => fs.writeSync(log, JSON.stringify(line) + '\n');

function decode(target) {
  return target === '*' ? target : decodeURIComponent(new URL('http://host' + target).pathname);
}

const server = http.createServer((request, response) => {
  const { method, url: target, headers } = request;
  const id = headers['x-case'] || '';
  const pieces = [];
  const note = (status) => see({
    case: id, method, target, path: decode(target), host: headers.host || '',
    body: Buffer.concat(pieces).toString(), status,
  });
  request.on('data', (piece) => pieces.push(piece));
  request.on('aborted', () => note('0'));
  request.on('end', () => {
    note('200');
    response.setHeader('x-case', id);
    response.end('ok');
  });
});
server.keepAliveTimeout = 60000;
server.on('clientError', (error, socket) => {
  // Who goes away in the middle has asked for nothing.
  const isGone = ['ECONNRESET', 'HPE_INVALID_EOF_STATE'].includes(error.code);
  if (!isGone) see({ case: '', target: error.code, status: '400' });
  socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
});
server.listen(Number('@port@'), '127.0.0.1');
