"""Drawing on real photographs: backgrounds, boards, objects, panels, and details that a view cannot hold."""
