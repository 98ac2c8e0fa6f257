// The camera of the reader's browser: a live picture, and a button that sends one photo of it to Python.
// The video itself never leaves the browser.

const REFUSED = {
  NotAllowedError: "The browser was not allowed to use the camera. Allow it beside the address of this page, then try again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program.",
};
const NO_CAMERA =
  "This browser gives no camera to this page: it does so on localhost and over https only. Choose a file instead.";

function button(text, el) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "jupyter-button widget-button";
  made.style.width = "auto";
  made.textContent = text;
  el.append(made);
  return made;
}

function render({ model, el }) {
  const toggle = button("Start camera", el);
  const take = button("Take photo", el);
  const said = document.createElement("span");
  said.setAttribute("role", "status");
  const video = document.createElement("video");
  Object.assign(video, { muted: true, playsInline: true, hidden: true });
  video.setAttribute("aria-label", "Live picture of the camera");
  video.style.cssText = "display: none; max-width: 320px; margin-top: 4px;";
  el.append(said, video);
  let stream = null;
  let gone = false;

  function show(live) {
    take.disabled = !live;
    video.hidden = !live;
    video.style.display = live ? "block" : "none";
    toggle.textContent = live ? "Stop camera" : "Start camera";
  }

  function stop() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = video.srcObject = null;
    show(false);
  }

  async function start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      said.textContent = NO_CAMERA;
      return;
    }
    said.textContent = "Waiting for the camera …";
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
      video.srcObject = stream;
      await video.play();
      said.textContent = "";
      show(true);
    } catch (error) {
      stop();
      said.textContent = REFUSED[error.name] ?? `The camera cannot be used: ${error.message}`;
    }
    if (gone) stop(); // the cell was cleared while the browser asked
  }

  toggle.onclick = async () => {
    toggle.disabled = true;
    await (stream ? stop() : start());
    toggle.disabled = false;
  };
  take.onclick = () => {
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob(async (blob) => model.send({ kind: "photo" }, undefined, [await blob.arrayBuffer()]), "image/jpeg", 0.92);
  };
  show(false);
  return () => {
    gone = true;
    stop();
  };
}

export default { render };
