"""What is written for one slide: pictures, cell outlines for QuPath, the label image. Knows only core."""
