import os, sys
value = (sys.argv[1] + sys.argv[2]).encode()
own = {str(os.getpid()), str(os.getppid())}
def look(path):
    try:
        with open(path, "rb") as file:
            rest = b""
            while True:
                chunk = file.read(1 << 20)
                if not chunk:
                    return
                if value in rest + chunk:
                    print("FOUND", path)
                    return
                rest = chunk[-len(value):]
    except OSError:
        pass
for pid in filter(str.isdigit, os.listdir("/proc")):
    if pid not in own:
        look(f"/proc/{pid}/environ")
        look(f"/proc/{pid}/cmdline")
for root in ("/workspace", "/root", "/tmp", "/run", "/etc", "/home", "/var", "/.miosa"):
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in ("node_modules", ".next")]
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                look(path)
print("SEARCHED")
