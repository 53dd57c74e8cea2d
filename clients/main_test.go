package clients_test

import (
	"os"
	"testing"

	"countersign/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main{M: m}.Run()) }
