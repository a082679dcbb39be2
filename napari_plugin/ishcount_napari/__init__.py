"""The napari plugin: a result opened, looked at and corrected. The only place that knows of windows."""
