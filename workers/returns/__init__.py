"""What comes back: bounces and complaints."""
