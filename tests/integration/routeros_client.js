// What another client of the RouterOS API, node-routeros, makes of a server: HOST PORT USER PASSWORD [none].
// Prints JSON. With `none` it asks for what is not there, too.
const { RouterOSAPI } = require("node-routeros");
const [host, port, user, password, asksForNothing] = process.argv.slice(2);

async function refusal(work) {
  try {
    await work;
    return "no refusal";
  } catch (error) {
    return error.message;
  }
}

async function main() {
  const wrong = new RouterOSAPI({ host, port: Number(port), user, password: password + "x", timeout: 5 });
  const login = await refusal(wrong.connect());
  const client = new RouterOSAPI({ host, port: Number(port), user, password, timeout: 5 });
  await client.connect();
  // All at once on one connection: its answers are told apart by their tags.
  const [identity, one, all, none] = await Promise.all([
    client.write("/system/identity/print"),
    client.write("/ppp/active/print", ["?name=007"]),
    client.write("/ppp/active/print"),
    asksForNothing ? client.write("/ip/pool/used/print", ["?pool=none"]) : [],
  ]);
  const unknown = await refusal(client.write("/no/such/print"));
  await client.close();
  console.log(JSON.stringify({ login, identity, one, all: all.length, none, unknown }));
}

main().then(() => process.exit(0), (error) => { console.log(error); process.exit(1); });
