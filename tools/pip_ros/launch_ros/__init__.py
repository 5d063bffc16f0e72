"""Stand-in for the ROS 2 package `launch_ros`: nodes and the places of packages."""
