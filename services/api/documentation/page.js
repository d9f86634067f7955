// Shows the OpenAPI document, and sends what is tried. No library, nothing from elsewhere.
"use strict";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

// The little of Markdown that descriptions use: paragraphs, lists, `code` and **what matters**.
function withMarks(text) {
  return text.split(/(`+[^`]+`+|\*\*[^*]+\*\*)/).filter((part) => part).map((part) => {
    if (part.startsWith("`")) return element("code", {}, part.replace(/^`+|`+$/g, ""));
    return part.startsWith("**") ? element("strong", {}, part.slice(2, -2)) : part;
  });
}

function blocks(text) {
  return (text || "").trim().split(/\n\s*\n/).filter((block) => block.trim()).map((block) => {
    const items = block.split(/^\s*- /m);
    if (items.length === 1) return element("p", {}, ...withMarks(block));
    const list = element("ul", {}, ...items.slice(1).map((item) => element("li", {}, ...withMarks(item.trim()))));
    return items[0].trim() ? element("div", {}, element("p", {}, ...withMarks(items[0])), list) : list;
  });
}

function resolved(schema, document) {
  if (!schema || !schema.$ref) return schema || {};
  const found = schema.$ref.split("/").slice(1).reduce((at, part) => at[part], document);
  return { name: schema.$ref.split("/").pop(), ...found };
}

function typeOf(schema, document) {
  const one = resolved(schema, document);
  if (schema && schema.$ref) return one.enum ? one.enum.join(" | ") : one.name;
  const choices = one.anyOf || one.oneOf;
  if (choices) return choices.map((choice) => typeOf(choice, document)).join(" | ");
  if (one.const !== undefined) return JSON.stringify(one.const);
  if (one.enum) return one.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (one.type === "array") return `${typeOf(one.items, document)}[]`;
  return one.type || "any";
}

function examplesOf(content, document) {
  if (content.examples) return Object.values(content.examples).map((one) => one.value);
  const choices = [content.schema, ...((content.schema || {}).anyOf || [])];
  return choices.map((choice) => resolved(choice, document).example).filter((example) => example);
}

function fieldRows(schema, document) {
  const one = resolved(schema, document);
  const required = new Set(one.required || []);
  return Object.entries(one.properties || {}).map(([name, field]) =>
    element("tr", {},
      element("td", {}, element("code", {}, name), required.has(name) ? " *" : ""),
      element("td", {}, typeOf(field, document)),
      element("td", {}, field.description || "",
        field.default === undefined ? "" : ` (${JSON.stringify(field.default)})`)));
}

function schemasOf(schema, document) {
  const one = resolved(schema, document);
  const choices = one.anyOf || one.oneOf;
  return choices ? choices.flatMap((choice) => schemasOf(choice, document)) : [schema];
}

function fieldTables(schema, document) {
  return schemasOf(schema, document)
    .map((one) => [resolved(one, document), fieldRows(one, document)])
    .filter(([, rows]) => rows.length)
    .map(([one, rows]) => element("div", {},
      element("p", {}, element("strong", {}, one.name || ""), ` ${one.description || ""}`),
      element("table", {}, ...rows)));
}

async function send(method, path, inputs, body, shown) {
  const query = new URLSearchParams();
  const headers = { Authorization: `Bearer ${document.getElementById("key").value}` };
  let address = path;
  for (const [parameter, input] of inputs) {
    if (parameter.in === "path") {
      // Keys of routes may hold slashes; every other character is escaped.
      const value = input.value.split("/").map(encodeURIComponent).join("/");
      address = address.replace(`{${parameter.name}}`, value);
    } else if (input.value && parameter.in === "header") headers[parameter.name] = input.value;
    else if (input.value) query.set(parameter.name, input.value);
  }
  const options = { method: method.toUpperCase(), headers };
  if (body && body.value.trim()) {
    headers["Content-Type"] = "application/json";
    options.body = body.value;
  }
  const suffix = query.size ? `?${query}` : "";
  shown.textContent = "…";
  try {
    const response = await fetch(`${address.slice(1)}${suffix}`, options);
    const text = await response.text();
    let pretty = text;
    try { pretty = JSON.stringify(JSON.parse(text), null, 2); } catch { /* shown as it came */ }
    shown.textContent = `${response.status} ${response.statusText}\n${pretty}`;
  } catch (error) {
    shown.textContent = `not sent: ${error.message}`;
  }
}

function operationOf(method, path, operation, document) {
  const content = ((operation.requestBody || {}).content || {})["application/json"];
  const examples = content ? examplesOf(content, document) : [];
  const body = content ? element("textarea", { spellcheck: "false", "aria-label": "body" }) : null;
  if (body) body.value = examples.length ? JSON.stringify(examples[0], null, 2) : "";
  const picks = examples.length < 2 ? [] : examples.map((example, i) => {
    const button = element("button", { type: "button" }, `example ${i + 1}`);
    button.addEventListener("click", () => { body.value = JSON.stringify(example, null, 2); });
    return button;
  });
  const inputs = (operation.parameters || []).map((parameter) =>
    [parameter, element("input", { "aria-label": parameter.name, placeholder: typeOf(parameter.schema, document) })]);
  const rows = inputs.map(([parameter, input]) =>
    element("tr", {},
      element("td", {}, element("code", {}, parameter.name), parameter.required ? " *" : ""),
      element("td", {}, input), element("td", {}, parameter.description || "")));
  const shown = element("pre", { "aria-live": "polite" });
  const button = element("button", { type: "button" }, "Send");
  button.addEventListener("click", () => send(method, path, inputs, body, shown));
  const answer = Object.entries(operation.responses || {}).find(([status]) => status.startsWith("2"));
  const answered = answer && ((answer[1].content || {})["application/json"] || {}).schema;
  return element("details", { class: "operation" },
    element("summary", {}, element("span", { class: `method ${method}` }, method.toUpperCase()),
      element("code", {}, path), " ", ...withMarks((operation.description || "").split(". ")[0])),
    ...blocks(operation.description),
    rows.length ? element("table", {}, ...rows) : null,
    ...(content ? fieldTables(content.schema, document) : []),
    ...picks, body, button, shown,
    answered ? element("details", {}, element("summary", {}, element("small", {},
      `answers ${answer[0]}: ${typeOf(answered, document)}`)), ...fieldTables(answered, document)) : null);
}

async function show() {
  const main = document.getElementById("operations");
  const openapi = await (await fetch("openapi.json")).json();
  document.getElementById("title").textContent = `${openapi.info.title} ${openapi.info.version}`;
  document.getElementById("description").append(...blocks(openapi.info.description));
  const byTag = new Map();
  for (const [path, operations] of Object.entries(openapi.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = (operation.tags || ["other"])[0];
      if (!byTag.has(tag)) byTag.set(tag, []);
      byTag.get(tag).push(operationOf(method, path, operation, openapi));
    }
  }
  for (const [tag, operations] of byTag) main.append(headingOf(tag), ...operations);
  document.getElementById("contents").append(contentsOf(byTag));
}

function anchorOf(tag) {
  return tag.replace(/\W+/g, "-");
}

function headingOf(tag) {
  return element("h2", { id: anchorOf(tag) }, element("a", { href: `#${anchorOf(tag)}` }, tag));
}

function contentsOf(byTag) {
  return element("ul", {}, ...[...byTag].map(([tag, operations]) =>
    element("li", {}, element("a", { href: `#${anchorOf(tag)}` }, tag), ` ${operations.length}`)));
}

show().catch((error) => { document.getElementById("operations").textContent = `openapi.json: ${error.message}`; });
