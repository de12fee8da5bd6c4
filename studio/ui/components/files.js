// Files between this page and its desk on the server, in pieces, and a store in this browser that outlives a reload.
(() => {
  const PIECE = 8 << 20; // bytes, as studio/ui/desks.py takes them
  const STORE_ITEM = 64 << 20; // larger files are not kept in the browser
  const STORE_ITEMS = 40;

  // ---- the store: files by their hash, those used last

  let opened = null;
  function store() {
    opened ??= new Promise((done, failed) => {
      const asked = indexedDB.open("atelier", 1);
      asked.onupgradeneeded = () => {
        asked.result.createObjectStore("files", { keyPath: "id" }).createIndex("used", "used");
      };
      asked.onsuccess = () => done(asked.result);
      asked.onerror = () => failed(asked.error);
    });
    return opened;
  }
  async function within(mode, work) {
    try {
      const transaction = (await store()).transaction("files", mode);
      return await new Promise((done, failed) => {
        const asked = work(transaction.objectStore("files"));
        transaction.oncomplete = () => done(asked.result);
        transaction.onerror = transaction.onabort = () => failed(transaction.error);
      });
    } catch { return undefined; } // forbidden or full: the page works without
  }
  async function keep(id, file, name) {
    if (file.size > STORE_ITEM) return;
    await within("readwrite", (files) => files.put({ id, name, file, used: Date.now() }));
    const ids = (await within("readonly", (files) => files.index("used").getAllKeys())) ?? [];
    for (const old of ids.slice(0, Math.max(0, ids.length - STORE_ITEMS))) {
      await within("readwrite", (files) => files.delete(old));
    }
  }
  async function kept(id) {
    const found = await within("readonly", (files) => files.get(id));
    if (found) within("readwrite", (files) => files.put({ ...found, used: Date.now() }));
    return found ? new File([found.file], found.name, { type: found.file.type }) : null;
  }

  // ---- the way there and back

  /**
   * Send a file through the server function `receive`; what it answered to the last piece.
   * `remember`: in the store too.
   */
  async function send(receive, file, progress = () => {}, remember = true) {
    const upload = atelier.pageName();
    let answer = { error: atelier.t("live.lost") };
    for (let offset = 0; offset === 0 || offset < file.size; offset += PIECE) {
      const piece = file.slice(offset, offset + PIECE);
      const fields = { desk: atelier.files.desk, upload, name: file.name || "picture", size: file.size, offset };
      answer = (await receive({ binary: true, data: { ...fields, piece: new File([piece], "piece") } })) ?? answer;
      if (answer.error) return answer;
      progress(Math.min(1, (offset + PIECE) / file.size));
    }
    if (answer.id && remember) await keep(answer.id, file, file.name || "picture");
    return answer;
  }

  /** A file of the desk, {id, name}, through the server function `take`: {file}, or {error} with a sentence. */
  async function fetched(take, { id, name }, progress = () => {}) {
    const pieces = [];
    for (let offset = 0, size = 1; offset < size; ) {
      const answer = await take({ desk: atelier.files.desk, file: id, offset });
      if (!answer?.piece) return { error: answer?.error ?? atelier.t("live.lost") };
      const piece = Uint8Array.from(atob(answer.piece), (c) => c.charCodeAt(0));
      pieces.push(new Blob([piece])); // a Blob may lie on the disk, where an array stays in memory
      offset += piece.length;
      size = answer.size;
      progress(offset / size);
    }
    return { file: new File(pieces, name) };
  }

  /** Fetch a file of the desk and hand it to the person; a sentence if it failed. */
  async function download(take, file, progress = () => {}) {
    const got = await fetched(take, file, progress);
    if (got.file) save(got.file, file.name);
    return got.error ?? "";
  }

  function save(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  // ---- what was dropped or pasted

  /**
   * The files of a drop, at most so many;
   * those of folders in order, with their paths as if the folder had been chosen.
   */
  async function dropped(transfer, most = 2000) {
    const entries = [...(transfer.items ?? [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
    const files = [];
    for (const entry of entries) await walk(entry, files, 0, most);
    const { compare } = new Intl.Collator(undefined, { numeric: true }); // made once, not for each pair
    return files.sort((a, b) => compare(a.name, b.name));
  }
  async function walk(entry, files, depth, most) {
    if (entry.name.startsWith(".") || depth > 8 || files.length >= most) return;
    if (entry.isFile) {
      const file = await new Promise((done, failed) => entry.file(done, failed));
      // Browsers leave this empty in what was dropped.
      Object.defineProperty(file, "webkitRelativePath", { value: entry.fullPath.replace(/^\//, "") });
      files.push(file);
      return;
    }
    const reader = entry.createReader();
    for (;;) { // a reader gives a hundred at a time
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) return;
      for (const inner of some) await walk(inner, files, depth + 1, most);
    }
  }

  atelier.files = { desk: atelier.deskName("desk"), keep, kept, send, fetched, download, save, dropped };
})();
