"""MediaPipe Pose on one video: landmarks in the image and, hip at zero, in metres.

Runs in an environment of its own (mediapipe==0.10.21 wants NumPy 1); `make_sample.py` starts it.
"""

import sys

import cv2
import mediapipe as mp
import numpy as np
from numpy.typing import NDArray


def landmarks(video: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Track the person of a video.

    Returns:
        (F, 33, 3) pixels and visibility, (F, 33, 3) metres in camera axes with the hip at zero;
        NaN where nobody was found.
    """
    pixels: list[NDArray[np.float64]] = []
    metres: list[NDArray[np.float64]] = []
    stream = cv2.VideoCapture(video)
    # The network's own word: smoothing is what Poise is there for.
    with mp.solutions.pose.Pose(model_complexity=1, smooth_landmarks=False) as network:
        while True:
            more, frame = stream.read()
            if not more:
                break
            height, width = frame.shape[:2]
            found = network.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
            if found.pose_landmarks is None:
                pixels.append(np.full((33, 3), np.nan))
                metres.append(np.full((33, 3), np.nan))
                continue
            flat = found.pose_landmarks.landmark
            pixels.append(np.array([(p.x * width, p.y * height, p.visibility) for p in flat]))
            metres.append(np.array([(p.x, p.y, p.z) for p in found.pose_world_landmarks.landmark]))
    if not pixels:
        raise SystemExit(f"{video}: no frame could be read")
    return np.stack(pixels), np.stack(metres)


if __name__ == "__main__":
    video_path, target = sys.argv[1:]
    found_pixels, found_metres = landmarks(video_path)
    np.savez(target, pixels=found_pixels, metres=found_metres)
