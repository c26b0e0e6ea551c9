"""Has the device it runs on read PICTURE, some ten times a second, for ever, as a camera does.

camera.py PICTURE
"""

import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

URL = "http://127.0.0.1:8080/v2/models/reader/infer"

picture = Path(sys.argv[1]).read_bytes()
while True:
    time.sleep(0.1)
    try:
        urllib.request.urlopen(urllib.request.Request(URL, picture, {"Content-Type": "image/png"})).read()
    except urllib.error.HTTPError as error:
        print(error, flush=True)
