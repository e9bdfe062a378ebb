"""Quality in detail: of classes, of outputs and of single samples, a network beside the float one."""
